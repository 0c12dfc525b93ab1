using System.Buffers.Binary;
using BenchmarkDotNet.Attributes;
using Bgp.Load;
using Bgp.Protocol;
using Rib;

namespace Bgp.Micro;

/// <summary>
/// The stages of an UPDATE's way through the core, each alone, over the internet profile with 200,000 prefixes; times and bytes are per prefix.
/// </summary>
[MemoryDiagnoser]
public class Stages
{
    private const int Prefixes = 200_000;
    private const uint SenderAsn = 65001;
    private const ushort Sender = 1;
    private const ushort Second = 2;
    private readonly uint[] _changes = new uint[4096];
    private readonly byte[] _taken = new byte[1 << 20];
    private readonly PathAttributesParser _parser = new();
    private readonly AttributeRules _rules = new();
    private NegotiatedSession _session = null!;
    private AttributeTable _attributes = null!;
    private RibShard<Ipv4Prefix> _shard = null!;
    private UpdateGroup<Ipv4Prefix> _group = null!;
    private GroupMember _member = null!;
    private byte[] _stream = [];
    private byte[][] _sets = [];
    private uint[] _ids = [];
    private Ipv4Prefix[][] _prefixes = [];

    /// <summary>Encodes the stream and keeps what each stage takes from the one before.</summary>
    [GlobalSetup]
    public void Encode()
    {
        InternetTable table = new(Prefixes, seed: 5);
        _stream = Copy(table.Announcements(SenderAsn, 0x0A630101, ebgp: true));
        _session = NegotiatedSession.Negotiate(
            OpenMessage.Create(64512, 180, 1, CapabilitiesOf(64512)), OpenMessage.Create(SenderAsn, 180, 2, CapabilitiesOf(SenderAsn)), new LocalSessionSettings());
        _attributes = new AttributeTable();
        List<byte[]> sets = [];
        List<Ipv4Prefix[]> prefixes = [];
        Walk((in UpdateView view, ReadOnlySpan<byte> canonical) =>
        {
            sets.Add(canonical.ToArray());
            prefixes.Add(ReadAll(view.Nlri));
        });
        _sets = [.. sets];
        _prefixes = [.. prefixes];
        _ids = [.. _sets.Select(set => _attributes.Intern(set))];
    }

    /// <summary>An empty table for the stages that fill one.</summary>
    [IterationSetup(Targets = [nameof(ReachNew), nameof(DecideSecondPath), nameof(ExportAndPack)])]
    public void EmptyTable()
    {
        _shard = new RibShard<Ipv4Prefix>(_attributes, new Everything(), new RibOptions());
        _shard.SetPeer(PeerOf(Sender));
        _shard.SetPeer(PeerOf(Second));
    }

    /// <summary>Frame, cut, check (RFC 7606), canonical octets.</summary>
    [Benchmark(OperationsPerInvoke = Prefixes)]
    public int Parse()
    {
        int octets = 0;
        Walk((in UpdateView _, ReadOnlySpan<byte> canonical) => octets += canonical.Length);
        return octets;
    }

    /// <summary>Find a known set of attributes and give it back.</summary>
    [Benchmark(OperationsPerInvoke = Prefixes)]
    public void InternKnown()
    {
        foreach (byte[] set in _sets)
        {
            _attributes.Release(_attributes.Intern(set));
        }
    }

    /// <summary>Enter prefixes into an empty table and hand out the changes.</summary>
    [Benchmark(OperationsPerInvoke = Prefixes)]
    public int ReachNew() => ReachAll(Sender, 0);

    /// <summary>A second path for each prefix of a full table; the cost of the first is in it and is <see cref="ReachNew"/>'s.</summary>
    [Benchmark(OperationsPerInvoke = Prefixes)]
    public int DecideSecondPath()
    {
        ReachAll(Sender, 0);
        return ReachAll(Second, 1);
    }

    /// <summary>Fill the table, export all of it to a group with one member, encode; <see cref="ReachNew"/>'s cost is in it.</summary>
    [Benchmark(OperationsPerInvoke = Prefixes)]
    public long ExportAndPack()
    {
        UpdateGroupKey key = new() { Family = AfiSafi.Ipv4Unicast, Kind = PeerKind.Ebgp, LocalAsn = 64512, Policy = "all", Self = IpAddr.V4(0x0A638001) };
        _group = new UpdateGroup<Ipv4Prefix>(key, _shard, _attributes, new AcceptAll());
        _member = _group.Join(PeerOf(Second), static () => { });
        Drain();
        for (int i = 0; i < _prefixes.Length; i++)
        {
            _shard.Reach(_prefixes[i], [], Sender, _ids[i], PathFlags.None);
        }

        int count;
        while ((count = _shard.DrainChanges(_changes)) > 0)
        {
            foreach (uint index in _changes.AsSpan(0, count))
            {
                _group.MarkDirty(index);
            }

            Drain();
        }

        return _group.MessagesEncoded;
    }

    private void Drain()
    {
        while (_group.Turn(UpdateGroup<Ipv4Prefix>.MaxBatch))
        {
            while (_member.TryTake(_taken, out _))
            {
            }
        }

        while (_member.TryTake(_taken, out _))
        {
        }
    }

    private int ReachAll(ushort peer, int shift)
    {
        for (int i = 0; i < _prefixes.Length; i++)
        {
            _shard.Reach(_prefixes[i], [], peer, _ids[(i + shift) % _ids.Length], PathFlags.None);
        }

        int total = 0;
        int count;
        while ((count = _shard.DrainChanges(_changes)) > 0)
        {
            total += count;
        }

        return total;
    }

    private delegate void OnUpdate(in UpdateView view, ReadOnlySpan<byte> canonical);

    private void Walk(OnUpdate update)
    {
        ReadOnlySpan<byte> rest = _stream;
        while (!rest.IsEmpty)
        {
            int size = BinaryPrimitives.ReadUInt16BigEndian(rest[16..]);
            UpdateView.TryParse(rest[19..size], _session, out UpdateView view);
            _parser.Parse(view, _session, _rules, out ReadOnlySpan<byte> canonical, out _);
            update(view, canonical);
            rest = rest[size..];
        }
    }

    private static Ipv4Prefix[] ReadAll(ReadOnlySpan<byte> nlri)
    {
        List<Ipv4Prefix> prefixes = [];
        while (Ipv4Prefix.TryRead(ref nlri, out Ipv4Prefix prefix))
        {
            prefixes.Add(prefix);
        }

        return [.. prefixes];
    }

    private static unsafe byte[] Copy(UpdateStream stream) => new ReadOnlySpan<byte>(stream.Memory, stream.Length).ToArray();

    private static Capabilities CapabilitiesOf(uint asn) => new() { Families = [AfiSafi.Ipv4Unicast], As4 = asn };

    private static RibPeer PeerOf(ushort index) => new()
    {
        Index = index,
        Name = $"peer{index}",
        Kind = PeerKind.Ebgp,
        Asn = SenderAsn + index,
        RouterId = index,
        Address = IpAddr.V4(0x0A630100u + index),
    };

    private sealed class Everything : INextHopResolver
    {
        public NextHopState Resolve(in IpAddr nextHop) => new(true, 10);
    }

    private sealed class AcceptAll : IRoutePolicy<Ipv4Prefix>
    {
        public string ContentKey => "all";

        public bool AcceptsAll => true;

        public PolicyResult Evaluate(in Ipv4Prefix prefix, PathAttributes attributes, in PolicyContext context) => new(true, null, "");
    }
}
