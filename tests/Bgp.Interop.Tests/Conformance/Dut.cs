using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests.Conformance;

/// <summary>
/// One daemon for all conformance tests: a route reflector on the loopback with a neighbour of every sort, and observers that show what it made of each message.
/// </summary>
[SetUpFixture]
public sealed class Dut
{
    internal const uint Asn = 64512;
    internal const uint ClusterId = 0x0A0000C8;
    internal const uint RouterId = 0x0AFF0001;

    internal static readonly Identity External = new("external", "127.0.0.10", 65010);
    internal static readonly Identity Internal = new("internal", "127.0.0.11", Asn);
    internal static readonly Identity Client = new("client", "127.0.0.12", Asn);
    internal static readonly Identity ExternalAs2 = new("external-as2", "127.0.0.13", 65013) { As4 = false };
    internal static readonly Identity InternalAs2 = new("internal-as2", "127.0.0.14", Asn) { As4 = false };
    internal static readonly Identity ManyPaths = new("many-paths", "127.0.0.15", Asn) { AddPath = true };
    internal static readonly Identity LongMessages = new("long-messages", "127.0.0.16", Asn) { More = Octets.Capability(6) };
    internal static readonly Identity External2 = new("external2", "127.0.0.17", 65017);

    internal static readonly Identity SeesAsClient = new("sees-as-client", "127.0.0.20", Asn);
    internal static readonly Identity SeesFromOutside = new("sees-from-outside", "127.0.0.21", 65021);
    internal static readonly Identity SeesAsInternal = new("sees-as-internal", "127.0.0.22", Asn);
    internal static readonly Identity SeesAs2 = new("sees-as2", "127.0.0.23", 65023) { As4 = false };
    internal static readonly Identity SeesFourOctets = new("sees-four-octets", "127.0.0.24", 4200000024);

    internal static readonly Identity Opening = new("opening", "127.0.0.40", 65040);
    internal static readonly Identity OpeningInternal = new("opening-internal", "127.0.0.41", Asn);
    internal static readonly Identity OpeningWide = new("opening-wide", "127.0.0.42", 4200000042);
    internal static readonly Identity Limited = new("limited", "127.0.0.43", 65043);
    internal static readonly Identity NoPolicy = new("no-policy", "127.0.0.44", 65044);
    internal static readonly Identity Restarting = new("restarting", "127.0.0.45", Asn);
    internal static readonly Identity Disabled = new("disabled", "127.0.0.46", 65046);
    internal static readonly Identity Short = new("short-hold", "127.0.0.47", 65047) { Hold = 3 };
    internal static readonly Identity Dialled = new("dialled", "127.0.0.48", Asn);
    internal static readonly Identity Guarded = new("guarded", "127.0.0.49", 65049);
    internal static readonly Identity Unknown = new("unknown", "127.0.0.99", 65099);

    private static readonly Dictionary<string, Speaker> s_speakers = new(StringComparer.Ordinal);
    private static readonly List<Speaker> s_observers = [];
    private static int s_sentinels;
    private static Background? s_process;
    private static string s_folder = "";

    internal static IPEndPoint EndPoint { get; private set; } = new(IPAddress.Loopback, 0);

    /// <summary>Where the daemon dials <see cref="Dialled"/>; nobody listens until a test does.</summary>
    internal static IPEndPoint DialledEndPoint { get; private set; } = new(IPAddress.Loopback, 0);

    internal static string Log => File.Exists(LogFile) ? ReadShared(LogFile) : "";

    internal static bool IsAlive => s_process is { HasExited: false };

    private static string LogFile => Path.Combine(s_folder, "dut.log");

    private static string ControlSocket => Path.Combine(s_folder, "dut.sock");

    /// <summary>Memory of the daemon that is resident now.</summary>
    internal static long ResidentKilobytes()
    {
        string line = File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{s_process!.Pid}/status")).First(static line => line.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line.AsSpan(6).Trim().TrimEnd(" kB"), CultureInfo.InvariantCulture);
    }

    /// <summary>Descriptors that the daemon has open.</summary>
    internal static int Descriptors() => Directory.EnumerateFileSystemEntries(string.Create(CultureInfo.InvariantCulture, $"/proc/{s_process!.Pid}/fd")).Count();

    internal static Speaker AsClient => Observer(SeesAsClient);

    internal static Speaker FromOutside => Observer(SeesFromOutside);

    internal static Speaker AsInternal => Observer(SeesAsInternal);

    internal static Speaker As2 => Observer(SeesAs2);

    internal static Speaker FourOctets => Observer(SeesFourOctets);

    [OneTimeSetUp]
    public void Start()
    {
        s_folder = Directory.CreateTempSubdirectory("pipit-conformance-").FullName;
        EndPoint = new IPEndPoint(IPAddress.Loopback, FreePort(IPAddress.Loopback));
        DialledEndPoint = new IPEndPoint(IPAddress.Parse(Dialled.Address), FreePort(IPAddress.Parse(Dialled.Address)));
        string config = Path.Combine(s_folder, "dut.yaml");
        File.WriteAllText(config, Config());
        s_process = new Background(LogFile, [Lab.Pipit, "run", "--config", config, "--socket", ControlSocket]);
        Lab.Eventually(Answers, "the daemon listens", 20, static () => Log);
        foreach (Identity who in (Identity[])[SeesAsClient, SeesFromOutside, SeesAsInternal, SeesAs2, SeesFourOctets])
        {
            s_observers.Add(Speaker.Establish(who));
        }

        // The observers say nothing of End-of-RIB: after the daemon's start everything is held for staleTime, and no test is to begin before.
        Lab.Eventually(static () => s_observers.TrueForAll(static observer => observer.EndOfRibs.Contains("4")), "the start is over", 20, static () => Log);
    }

    [OneTimeTearDown]
    public void Stop()
    {
        foreach (Speaker speaker in s_speakers.Values.Concat(s_observers))
        {
            speaker.Dispose();
        }

        s_process?.Dispose();
        Directory.Delete(s_folder, recursive: true);
    }

    /// <summary>The session of a sort, established again where it was lost. Shared by the tests, which run one at a time.</summary>
    internal static Speaker Of(Identity who)
    {
        if (s_speakers.TryGetValue(who.Name, out Speaker? known))
        {
            if (!known.IsClosed)
            {
                return known;
            }

            known.Dispose();
        }

        return s_speakers[who.Name] = Speaker.Establish(who);
    }

    /// <summary>Ends all sessions but the observers'.</summary>
    internal static void EndSessions()
    {
        foreach (Speaker speaker in s_speakers.Values)
        {
            speaker.Dispose();
        }

        s_speakers.Clear();
    }

    /// <summary>
    /// Waits until everything that <paramref name="speaker"/> sent before has reached the observers: a route of its own that nobody has seen is announced
    /// and withdrawn, per family, because each family is a stream of its own. The withdrawal is the second round: what was on its way with the announcement
    /// is then there as well.
    /// </summary>
    internal static void Settle(Speaker speaker)
    {
        int number = ++s_sentinels;
        string v4 = string.Create(CultureInfo.InvariantCulture, $"198.18.{number >> 8 & 255}.{number & 255}/32");
        string v6 = string.Create(CultureInfo.InvariantCulture, $"2001:db8:ffff::{number:x}/128");
        RouteSet set = RouteSet.For(speaker.Who);
        speaker.Send(set.Announce(v4), speaker.Who.Ipv6 ? set.Announce(v6) : []);
        AwaitEverywhere(speaker, view => view.Find(v4) is not null && (!speaker.Who.Ipv6 || view.Find(v6) is not null), "the sentinel's announcement");
        speaker.Send(set.Withdraw(v4), speaker.Who.Ipv6 ? set.Withdraw(v6) : []);
        AwaitEverywhere(speaker, view => view.Find(v4) is null && view.Find(v6) is null, "the sentinel's withdrawal");
    }

    /// <summary>Waits for something at every observer that takes part.</summary>
    internal static void AwaitEverywhere(Speaker speaker, Func<RouteView, bool> fits, string what)
    {
        foreach (Speaker observer in s_observers)
        {
            if (observer.Who == SeesAsInternal && speaker.Who.IsInternal && !IsClient(speaker.Who))
            {
                // RFC 4456 section 6: not from one non-client to another.
                continue;
            }

            for (int i = 0; i < 200 && !observer.WaitFor(fits, 100); i++)
            {
                if (speaker.IsClosed)
                {
                    Assert.Fail($"the session of {speaker.Who.Name} ended: {speaker.Messages()}\n{Tail()}");
                }
            }

            Assert.That(observer.WaitFor(fits, 1), () => $"{observer.Who.Name} does not see {what} of {speaker.Who.Name}: {speaker.Messages()}; observer: {observer.Messages()}\n{Tail()}");
        }
    }

    /// <summary>What must hold after every test: the process lives, and has said nothing that no RFC allows.</summary>
    internal static void CheckUp()
    {
        Assert.That(IsAlive, () => $"the daemon is gone\n{Tail()}");
        Assert.That(s_observers.Where(static observer => observer.IsClosed).Select(static observer => observer.Who.Name), Is.Empty, "sessions of other neighbours that ended");
        Assert.That(s_observers.Concat(s_speakers.Values).SelectMany(static speaker => speaker.TakeComplaints()), Is.Empty, "what the daemon sent");
    }

    /// <summary>The end of the log. Only that is read: failure texts are built before it is known whether they are needed.</summary>
    internal static string Tail() => File.Exists(LogFile) ? string.Join('\n', ReadShared(LogFile, 4096).Split('\n').TakeLast(15)) : "";

    internal static (int Code, string Output, string Error) Cli(params string[] words) => Lab.TryRun(Lab.Pipit, ["--socket", ControlSocket, .. words]);

    private static bool IsClient(Identity who) => who == Client || who == InternalAs2 || who == ManyPaths || who == LongMessages || who == Restarting || who == Dialled || who == SeesAsClient;

    private static Speaker Observer(Identity who) => s_observers.Find(observer => observer.Who == who)!;

    private static bool Answers()
    {
        if (!IsAlive)
        {
            return true;
        }

        using Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Connect(EndPoint);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static int FreePort(IPAddress address)
    {
        using Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(address, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    private static string ReadShared(string path, int last = int.MaxValue)
    {
        using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        stream.Seek(-Math.Min(last, stream.Length), SeekOrigin.End);
        using StreamReader reader = new(stream);
        return reader.ReadToEnd();
    }

    private static string Config()
    {
        static string Peer(Identity who, string more = "") =>
            $"  - {{ name: {who.Name}, address: {who.Address}, asn: {who.Asn}, group: {(who.IsInternal ? "inside" : "outside")}{(more.Length > 0 ? ", " + more : "")} }}\n";
        const string client = "routeReflectorClient: true";
        return $$"""
            version: 1
            node: { name: dut, asn: {{Asn}}, ipv4: 10.255.0.1, ipv6: "fd00:255::1", routerId: 10.255.0.1 }
            listen: { address: 127.0.0.1, port: {{EndPoint.Port}} }
            kernel: { enabled: false, staleTime: 1s }
            metrics: { listen: "off" }
            routeReflector: { clusterId: 10.0.0.200 }
            peerGroups:
              inside: { passive: true, import: [all], export: [all], timers: { idleHold: 1s, connectRetry: 1s }, families: { ipv4: {}, ipv6: {} } }
              outside: { passive: true, import: [all], export: [all], timers: { idleHold: 1s, connectRetry: 1s }, families: { ipv4: {}, ipv6: {} } }
            peers:

            """ + Peer(External) + Peer(Internal) + Peer(Client, client) + Peer(ExternalAs2) + Peer(InternalAs2, client)
            + Peer(ManyPaths, client) + Peer(LongMessages, client) + Peer(External2)
            + Peer(SeesAsClient, client) + Peer(SeesFromOutside) + Peer(SeesAsInternal) + Peer(SeesAs2) + Peer(SeesFourOctets)
            + Peer(Opening) + Peer(OpeningInternal) + Peer(OpeningWide)
            + Peer(Limited, "families: { ipv4: { maxPrefixes: { count: 2, action: restart } } }, timers: { idleHold: 4s, connectRetry: 1s }")
            + Peer(NoPolicy, "import: [], export: []")
            + Peer(Restarting, client + ", gracefulRestart: { restartTime: 30s }") + Peer(Disabled, "disabled: true") + Peer(Short) + Peer(Guarded, "ttlSecurity: 1")
            + Peer(Dialled, $"passive: false, port: {DialledEndPoint.Port}, {client}");
    }
}

/// <summary>A sound set of attributes as a neighbour of a sort sends it, to be spoiled by the tests.</summary>
internal sealed class RouteSet
{
    private readonly List<(byte Code, byte[] Octets)> _attributes = [];

    private RouteSet(Identity who) => Who = who;

    internal Identity Who { get; }

    internal static string NextHop4 => "10.9.0.1";

    internal static string NextHop6 => "2001:db8:9::1";

    /// <summary>ORIGIN, AS_PATH, NEXT_HOP, and LOCAL_PREF where it belongs.</summary>
    internal static RouteSet For(Identity who)
    {
        RouteSet set = new(who);
        set.Set(1, Octets.Attr(0x40, 1, [0]));
        set.Set(2, Octets.Attr(0x40, 2, Octets.Segment(2, who.As4, who.IsInternal ? 65100 : who.Asn)));
        set.Set(3, Octets.Attr(0x40, 3, Octets.Address(NextHop4)));
        if (who.IsInternal)
        {
            set.Set(5, Octets.Attr(0x40, 5, Octets.U32(100)));
        }

        return set;
    }

    /// <summary>Replaces an attribute by octets that need not be one.</summary>
    internal RouteSet Set(byte code, byte[] octets)
    {
        int at = _attributes.FindIndex(item => item.Code == code);
        if (at < 0)
        {
            _attributes.Add((code, octets));
        }
        else
        {
            _attributes[at] = (code, octets);
        }

        return this;
    }

    internal RouteSet Add(byte[] octets)
    {
        _attributes.Add((255, octets));
        return this;
    }

    internal RouteSet First(byte[] octets)
    {
        _attributes.Insert(0, (255, octets));
        return this;
    }

    internal RouteSet Without(byte code)
    {
        _attributes.RemoveAll(item => item.Code == code);
        return this;
    }

    internal byte[] Attributes => Octets.Join([.. _attributes.Select(static item => item.Octets)]);

    /// <summary>An UPDATE that announces one prefix of either family.</summary>
    internal byte[] Announce(string prefix)
    {
        if (!prefix.Contains(':', StringComparison.Ordinal))
        {
            return Octets.Update(Octets.None, Attributes, Nlri(prefix));
        }

        byte[] reach = Octets.MpReach(2, 1, Octets.Address(NextHop6), Nlri(prefix));
        return Octets.Update(Octets.None, Octets.Join(reach, Octets.Join([.. _attributes.Where(static item => item.Code != 3).Select(static item => item.Octets)])), Octets.None);
    }

    internal byte[] Withdraw(string prefix) => prefix.Contains(':', StringComparison.Ordinal)
        ? Octets.Update(Octets.None, Octets.MpUnreach(2, 1, Nlri(prefix)), Octets.None)
        : Octets.Update(Nlri(prefix), Octets.None, Octets.None);

    /// <summary>With a path identifier where the identity negotiates them.</summary>
    internal byte[] Nlri(string prefix) => Who.AddPath ? Octets.Join(Octets.U32(1), Octets.Prefix(prefix)) : Octets.Prefix(prefix);
}
