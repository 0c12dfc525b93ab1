using System.Net.Sockets;

namespace Bgp.Daemon.Control;

/// <summary>What a client may do.</summary>
public enum AccessLevel : byte
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Look.</summary>
    Read,

    /// <summary>Change.</summary>
    Admin,
}

/// <summary>Who is on the other end of a unix socket, from the kernel (SO_PEERCRED, SO_PEERGROUPS): nothing the client says.</summary>
internal static class PeerCredentials
{
    private const int SolSocket = 1;
    private const int SoPeerCred = 17;
    private const int SoPeerGroups = 59;

    internal static bool TryGet(Socket socket, out int pid, out uint uid, out HashSet<uint> groups)
    {
        pid = 0;
        uid = uint.MaxValue;
        groups = [];
        try
        {
            Span<byte> ucred = stackalloc byte[12];
            if (socket.GetRawSocketOption(SolSocket, SoPeerCred, ucred) != 12)
            {
                return false;
            }

            pid = BitConverter.ToInt32(ucred);
            uid = BitConverter.ToUInt32(ucred[4..]);
            groups.Add(BitConverter.ToUInt32(ucred[8..]));
        }
        catch (SocketException)
        {
            return false;
        }

        try
        {
            byte[] list = new byte[4 * 1024];
            int length = socket.GetRawSocketOption(SolSocket, SoPeerGroups, list);
            for (int i = 0; i + 4 <= length; i += 4)
            {
                groups.Add(BitConverter.ToUInt32(list, i));
            }
        }
        catch (SocketException)
        {
            // Before Linux 4.13: the primary group must do.
        }

        return true;
    }

    /// <summary>Root and the daemon's own user change; group pipit-admin changes; group pipit looks. A group that does not exist has no members.</summary>
    internal static AccessLevel Judge(uint uid, IReadOnlySet<uint> groups, uint ownUid, uint? adminGroup, uint? readGroup) =>
        uid == 0 || uid == ownUid || (adminGroup is { } admin && groups.Contains(admin)) ? AccessLevel.Admin
        : readGroup is { } read && groups.Contains(read) ? AccessLevel.Read
        : AccessLevel.None;

    /// <summary>Id of a local group, or null. Read from the file: a directory service may hang, and must not hang this.</summary>
    internal static uint? GroupId(string name, string file = "/etc/group")
    {
        try
        {
            foreach (string line in File.ReadLines(file))
            {
                string[] parts = line.Split(':');
                if (parts.Length >= 3 && parts[0] == name && uint.TryParse(parts[2], out uint id))
                {
                    return id;
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }

        return null;
    }

    internal static uint OwnUid()
    {
        try
        {
            foreach (string line in File.ReadLines("/proc/self/status"))
            {
                if (line.StartsWith("Uid:", StringComparison.Ordinal))
                {
                    return uint.Parse(line.Split('\t')[2], System.Globalization.CultureInfo.InvariantCulture);
                }
            }
        }
        catch (IOException)
        {
            return uint.MaxValue;
        }

        return uint.MaxValue;
    }
}
