using System.Runtime.InteropServices;
using System.Text;
using Bgp.Protocol;

namespace Bgp.Daemon.Kernel.Netlink;

/// <summary>RTM_*LINK and RTM_*ADDR.</summary>
internal static class LinkCodec
{
    /// <summary>Decodes a link; false when it does not parse or is a bridge port's report (AF_BRIDGE), which repeats a link that exists.</summary>
    internal static bool TryReadLink(ReadOnlySpan<byte> body, out int index, out string name, out bool up, out bool carrier)
    {
        index = 0;
        name = "";
        up = false;
        carrier = false;
        if (body.Length < Rt.IfinfoLength || body[0] != 0)
        {
            return false;
        }

        index = MemoryMarshal.Read<int>(body[4..]);
        uint flags = MemoryMarshal.Read<uint>(body[8..]);
        up = (flags & Rt.IffUp) != 0;
        carrier = up && (flags & Rt.IffLowerUp) != 0;
        AttributeReader attributes = new(body[Rt.IfinfoLength..]);
        while (attributes.TryRead(out int type, out ReadOnlySpan<byte> value))
        {
            if (type == Rt.IflaIfname)
            {
                int end = value.IndexOf((byte)0);
                value = end < 0 ? value : value[..end];
                name = Encoding.UTF8.GetString(value.Length > 15 ? value[..15] : value);
            }
        }

        return index > 0;
    }

    /// <summary>Decodes an address. <paramref name="peer"/> is none except on a point-to-point link.</summary>
    internal static bool TryReadAddress(ReadOnlySpan<byte> body, out int index, out IpAddr address, out IpAddr peer, out int length)
    {
        index = 0;
        address = default;
        peer = default;
        length = 0;
        if (body.Length < Rt.IfaddrLength || (body[0] != Rt.AfInet && body[0] != Rt.AfInet6))
        {
            return false;
        }

        length = body[1];
        index = MemoryMarshal.Read<int>(body[4..]);
        IpAddr local = default;
        AttributeReader attributes = new(body[Rt.IfaddrLength..]);
        while (attributes.TryRead(out int type, out ReadOnlySpan<byte> value))
        {
            if (type == Rt.IfaAddress)
            {
                address = IpAddr.FromBytes(value);
            }
            else if (type == Rt.IfaLocal)
            {
                local = IpAddr.FromBytes(value);
            }
        }

        // IFA_ADDRESS is the other end where IFA_LOCAL is there too and differs.
        if (!local.IsNone && local != address)
        {
            peer = address;
            address = local;
        }

        int expected = body[0] == Rt.AfInet ? 4 : 16;
        return index > 0 && address.ByteLength == expected && length <= expected * 8;
    }

    /// <summary>A dump request for links or addresses of all families.</summary>
    internal static void WriteDump(ref NetlinkWriter writer, ushort type, uint sequence)
    {
        writer.Begin(type, Rt.FlagRequest | Rt.FlagDump, sequence, type == Rt.GetLink ? Rt.IfinfoLength : Rt.IfaddrLength);
        writer.End();
    }
}
