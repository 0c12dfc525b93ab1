using Bgp.Protocol;

namespace Rib;

/// <content>
/// Rewriting ahead. Interning an exported set begins with a look at a place anywhere in some megabytes, which is far more costly than everything else about it. So
/// the sets of the next prefixes are rewritten first, each with a request to the processor for its place, and interned when all of that is under way.
/// </content>
internal sealed partial class ExportTransform<TPrefix>
{
    private const int MaxPrepared = 64;
    private const int MaxPreparedOctets = 16384;

    private readonly Prepared[] _prepared = new Prepared[MaxPrepared];
    private byte[] _preparedOctets = new byte[2048];
    private int _preparedCount;
    private int _preparedNext;
    private int _preparedUsed;

    /// <summary>Forgets what was rewritten ahead.</summary>
    internal void ClearAhead() => (_preparedCount, _preparedNext, _preparedUsed) = (0, 0, 0);

    /// <summary>
    /// Rewrites what a route that is exported soon will need, in the order of those exports; false when there is no more room. Nothing comes of it where the answer
    /// is known, or takes a policy's opinion. The caller holds the attribute set until the export.
    /// </summary>
    internal bool Ahead(in TPrefix prefix, uint attribute, ushort peer, IRoutePolicy<TPrefix> policy)
    {
        if (_preparedCount == MaxPrepared || _preparedUsed >= MaxPreparedOctets)
        {
            return false;
        }

        if (_rib.PeerAt(peer) is not { Kind: not PeerKind.Local } source
            || !RouteReflection.MayAdvertise(source.Kind, _key.Kind)
            || !policy.AcceptsLearned(prefix))
        {
            return true;
        }

        ref Memo memo = ref _memo[(int)HashOf(attribute, peer, null) & (_memo.Length - 1)];
        if (memo.Attribute == attribute && ReferenceEquals(memo.Source, source))
        {
            return true;
        }

        if (memo.Attribute != 0)
        {
            _attributes.PrefetchCount(memo.Attribute);
            _attributes.PrefetchCount(memo.Exported);
        }

        long tooLarge = TooLarge;
        if (Rewrite(_attributes.Canonical(attribute), source, null, out ReadOnlySpan<byte> exported) != ExportReason.Advertised)
        {
            // The export itself comes to the same end, and counts it.
            TooLarge = tooLarge;
            return true;
        }

        if (_preparedOctets.Length - _preparedUsed < exported.Length)
        {
            Array.Resize(ref _preparedOctets, 2 * (_preparedOctets.Length + exported.Length));
        }

        exported.CopyTo(_preparedOctets.AsSpan(_preparedUsed));
        _prepared[_preparedCount++] = new Prepared
        {
            Attribute = attribute,
            Peer = peer,
            Start = _preparedUsed,
            Length = exported.Length,
            Hash = _attributes.Prepare(exported),
        };
        _preparedUsed += exported.Length;
        return true;
    }

    private bool TryTakePrepared(uint attribute, ushort peer, out ReadOnlySpan<byte> exported, out ulong hash)
    {
        for (int i = _preparedNext; i < _preparedCount; i++)
        {
            ref readonly Prepared prepared = ref _prepared[i];
            if (prepared.Attribute == attribute && prepared.Peer == peer)
            {
                _preparedNext = i + 1;
                exported = _preparedOctets.AsSpan(prepared.Start, prepared.Length);
                hash = prepared.Hash;
                return true;
            }
        }

        exported = default;
        hash = 0;
        return false;
    }

    private struct Prepared
    {
        internal uint Attribute;
        internal ushort Peer;
        internal int Start;
        internal int Length;
        internal ulong Hash;
    }
}
