using Bgp.Protocol;

namespace Rib;

/// <summary>The part of the table that decides.</summary>
public sealed partial class RibShard<TPrefix>
{
    private (Candidate Path, int At)[] _candidates = new (Candidate, int)[8];
    private HashSet<IpAddr> _changedNextHops = [];
    private HashSet<IpAddr> _walking = [];
    private uint _walkCursor;
    private bool _walkActive;
    private bool _allChanged;
    private bool _walkingAll;

    /// <summary>The decision's view of a stored path.</summary>
    public Candidate CandidateOf(uint index, in Path path)
    {
        return CandidateOf(path, PathIdOf(index, path));
    }

    /// <inheritdoc/>
    public ReadOnlySpan<Path> Select(uint index, int maxPaths, out int multipath)
    {
        multipath = 0;
        if (!IsInUse(index))
        {
            return default;
        }

        ref PrefixEntry<TPrefix> entry = ref _index[index];
        if (entry.Count == 0)
        {
            return default;
        }

        Span<Path> paths = _blocks.Span(entry.Block, entry.Count);
        if (!IsEligible(paths[0]))
        {
            return default;
        }

        multipath = 1;
        if (maxPaths <= 1 || entry.Count == 1)
        {
            return paths[..1];
        }

        return SelectMany(index, paths, maxPaths, out multipath);
    }

    /// <inheritdoc/>
    public void SelectBest(ReadOnlySpan<uint> indexes, Span<BestPath<TPrefix>> into)
    {
        for (int i = 0; i < indexes.Length; i++)
        {
            uint index = indexes[i];
            ref BestPath<TPrefix> best = ref into[i];
            if (index >= _index.Limit || index == 0)
            {
                best = default;
                continue;
            }

            // An entry that is not in use has no paths.
            ref PrefixEntry<TPrefix> entry = ref _index[index];
            best.Prefix = entry.Prefix;
            best.Attr = 0;
            if (entry.Count > 0)
            {
                ref Path head = ref _blocks.At(entry.Block);
                best.Attr = IsEligible(head) ? head.Attr : 0;
                best.Peer = head.Peer;
            }
        }
    }

    /// <summary>
    /// Why one of two stored paths of a prefix is preferred: positive when <paramref name="a"/> is. With a MED about, the answer is the one for this pair.
    /// </summary>
    public int Compare(uint index, in Path a, in Path b, out DecisionStep step)
    {
        if (IsEligible(a) != IsEligible(b))
        {
            step = DecisionStep.Eligible;
            return IsEligible(a) ? 1 : -1;
        }

        Candidate first = CandidateOf(index, a);
        Candidate second = CandidateOf(index, b);
        if (DecisionProcess.MedRemoves(first, second) || DecisionProcess.MedRemoves(second, first))
        {
            step = DecisionStep.Med;
            return DecisionProcess.MedRemoves(first, second) ? 1 : -1;
        }

        return DecisionProcess.CompareTies(first, second, out step);
    }

    /// <summary>Says that these next hops resolve differently now. Their paths are ranked anew by <see cref="RerankStep"/>.</summary>
    public void NextHopsChanged(ReadOnlySpan<IpAddr> nextHops)
    {
        _resolution++;
        foreach (IpAddr nextHop in nextHops)
        {
            _changedNextHops.Add(nextHop);
        }
    }

    /// <summary>Other consumers, or another meaning of LOCAL_PREF: every path is ranked anew by <see cref="RerankStep"/>.</summary>
    public void ChangeOptions(RibOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        _resolution++;
        _allChanged = true;
    }

    /// <summary>
    /// Ranks the next <paramref name="budget"/> prefixes anew where their next hops changed; true when there is more to do. One walk serves all
    /// changes that were known when it started.
    /// </summary>
    public bool RerankStep(int budget)
    {
        if (!_walkActive)
        {
            if (_changedNextHops.Count == 0 && !_allChanged)
            {
                return false;
            }

            (_walkingAll, _allChanged) = (_allChanged, false);

            (_walking, _changedNextHops) = (_changedNextHops, _walking);
            _changedNextHops.Clear();
            (_walkActive, _walkCursor) = (true, 1);
        }

        for (; budget > 0 && _walkCursor < _index.Limit; _walkCursor++, budget--)
        {
            ref PrefixEntry<TPrefix> entry = ref _index[_walkCursor];
            if ((entry.Flags & EntryFlags.InUse) != 0 && entry.Count > 0)
            {
                Rerank(_walkCursor, ref entry);
            }
        }

        if (_walkCursor >= _index.Limit)
        {
            _walkActive = false;
            _walking.Clear();
        }

        return _walkActive || _changedNextHops.Count > 0 || _allChanged;
    }

    /// <summary>Every next hop of a path learned over BGP: what a resolver must go on tracking.</summary>
    public IReadOnlySet<IpAddr> NextHopsInUse()
    {
        // The resolver forgets the others, so they must be asked for again when they come back.
        Array.Clear(_nextHops);
        HashSet<IpAddr> inUse = [];
        HashSet<uint> seen = [];
        for (uint index = 1; index < _index.Limit; index++)
        {
            foreach (ref readonly Path path in AllPaths(index))
            {
                if (seen.Add(path.Attr))
                {
                    ReadOnlySpan<byte> canonical = _attributes.Canonical(path.Attr);
                    AttributeSummary attributes = new(canonical);
                    if (attributes.Source == RouteSource.Bgp)
                    {
                        inUse.Add(attributes.NextHop(canonical));
                    }
                }
            }
        }

        return inUse;
    }

    private void Rerank(uint index, ref PrefixEntry<TPrefix> entry)
    {
        Span<Path> paths = _blocks.Span(entry.Block, entry.Count);
        Path oldHead = paths[0];
        bool touched = false;
        bool mattered = false;
        for (int i = 0; i < paths.Length; i++)
        {
            ref Path path = ref paths[i];
            ReadOnlySpan<byte> canonical = _attributes.Canonical(path.Attr);
            RankInfo info = Rank(path.Attr);
            if (info.Attributes.Source != RouteSource.Bgp || (!_walkingAll && !_walking.Contains(info.Attributes.NextHop(canonical))))
            {
                continue;
            }

            touched = true;
            mattered |= IsEligible(path);
            path.Rank = info.Rank;
            path.Flags = (ushort)((path.Flags & ~(int)PathFlags.Unresolved) | (int)(info.Flags & PathFlags.Unresolved));
            mattered |= IsEligible(path);
        }

        if (!touched)
        {
            return;
        }

        if (entry.Count > 1)
        {
            Elect(ref entry);
        }

        // Also when the best stays the same path: it may resolve through another gateway now, which the kernel route must follow.
        if (mattered || !IsSame(_blocks.Span(entry.Block, 1)[0], oldHead))
        {
            MarkDirty(index, ref entry);
        }
    }

    private RankInfo Rank(uint attrId)
    {
        ReadOnlySpan<byte> canonical = _attributes.Canonical(attrId);
        AttributeSummary attributes = new(canonical);
        return new RankInfo
        {
            Attributes = attributes,
            Rank = RankKey.Compute(attributes, canonical, _options.ElevatedAbove),
            NextHop = Resolve(attributes, canonical),
        };
    }

    private NextHopState Resolve(in AttributeSummary attributes, ReadOnlySpan<byte> canonical)
    {
        if (attributes.Source != RouteSource.Bgp)
        {
            return new NextHopState(true, 0);
        }

        IpAddr nextHop = attributes.NextHop(canonical);
        ref KnownNextHop known = ref _nextHops[(int)Mix.Hash(nextHop.Hi, nextHop.Lo) & (KnownNextHops - 1)];
        if (known.Resolution != _resolution || known.Address != nextHop)
        {
            known = new KnownNextHop { Address = nextHop, State = _resolver.Resolve(nextHop), Resolution = _resolution };
        }

        return known.State;
    }

    private Candidate CandidateOf(in Path path, uint pathId)
    {
        ReadOnlySpan<byte> canonical = _attributes.Canonical(path.Attr);
        AttributeSummary attributes = new(canonical);
        return new Candidate(path.Rank, attributes, PeerAt(path.Peer), Resolve(attributes, canonical).Metric, pathId);
    }

    private bool IsBetter(ref PrefixEntry<TPrefix> entry, int a, int b) =>
        DecisionProcess.CompareTies(CandidateAt(ref entry, a), CandidateAt(ref entry, b), out _) > 0;

    private Candidate CandidateAt(ref PrefixEntry<TPrefix> entry, int at) =>
        CandidateOf(_blocks.Span(entry.Block, entry.Count)[at], _blocks.PathId(entry.Block + (uint)at));

    /// <summary>
    /// Puts the best eligible path at the head, looking at the whole set. The ranks, which lie in the paths themselves, leave one path or few; only when
    /// they leave more than one are attributes looked at.
    /// </summary>
    private void Elect(ref PrefixEntry<TPrefix> entry)
    {
        ReadOnlySpan<Path> paths = _blocks.Span(entry.Block, entry.Count);
        ulong top = 0;
        int best = -1;
        int equal = 0;
        for (int i = 0; i < paths.Length; i++)
        {
            if (!IsEligible(paths[i]) || (best >= 0 && paths[i].Rank < top))
            {
                continue;
            }

            equal = best >= 0 && paths[i].Rank == top ? equal + 1 : 1;
            if (equal == 1)
            {
                (top, best) = (paths[i].Rank, i);
            }
        }

        if (best < 0)
        {
            return;
        }

        if (equal > 1)
        {
            best = ElectAmong(ref entry, top, equal);
        }

        Swap(ref entry, 0, best);
    }

    /// <summary>The best of the eligible paths with rank <paramref name="top"/>, of which there are <paramref name="count"/>.</summary>
    private int ElectAmong(ref PrefixEntry<TPrefix> entry, ulong top, int count)
    {
        if (_candidates.Length < count)
        {
            Array.Resize(ref _candidates, count * 2);
        }

        ReadOnlySpan<Path> paths = _blocks.Span(entry.Block, entry.Count);
        Span<(Candidate Path, int At)> candidates = _candidates.AsSpan(0, count);
        int filled = 0;
        bool anyMed = false;
        for (int i = 0; i < paths.Length; i++)
        {
            if (IsEligible(paths[i]) && paths[i].Rank == top)
            {
                candidates[filled++] = (CandidateAt(ref entry, i), i);
                anyMed |= (paths[i].Flags & (ushort)PathFlags.HasMed) != 0;
            }
        }

        int best = -1;
        for (int i = 0; i < count; i++)
        {
            if ((!anyMed || !IsRemovedByMed(candidates, i))
                && (best < 0 || DecisionProcess.CompareTies(candidates[i].Path, candidates[best].Path, out _) > 0))
            {
                best = i;
            }
        }

        int at = candidates[best].At;
        candidates.Clear();
        return at;
    }

    private static bool IsRemovedByMed(ReadOnlySpan<(Candidate Path, int At)> candidates, int at)
    {
        for (int i = 0; i < candidates.Length; i++)
        {
            if (i != at && DecisionProcess.MedRemoves(candidates[i].Path, candidates[at].Path))
            {
                return true;
            }
        }

        return false;
    }

    private ReadOnlySpan<Path> SelectMany(uint index, ReadOnlySpan<Path> paths, int maxPaths, out int multipath)
    {
        if (_scratch.Length < paths.Length)
        {
            _scratch = new Path[paths.Length * 2];
        }

        int count = 0;
        _scratch[count++] = paths[0];
        for (int i = 1; i < paths.Length; i++)
        {
            if (IsEligible(paths[i]))
            {
                _scratch[count++] = paths[i];
            }
        }

        Span<Path> selected = _scratch.AsSpan(0, count);
        Candidate best = CandidateOf(index, selected[0]);

        // Insertion sort behind the best: sets are small. Equal-cost paths come first, then the rest by preference.
        for (int i = 2; i < count; i++)
        {
            Path path = selected[i];
            Candidate candidate = CandidateOf(index, path);
            bool equal = DecisionProcess.AreMultipath(best, candidate);
            int at = i;
            while (at > 1)
            {
                Candidate before = CandidateOf(index, selected[at - 1]);
                bool beforeEqual = DecisionProcess.AreMultipath(best, before);
                if (beforeEqual != equal ? beforeEqual : DecisionProcess.CompareTies(before, candidate, out _) >= 0)
                {
                    break;
                }

                selected[at] = selected[at - 1];
                at--;
            }

            selected[at] = path;
        }

        multipath = 1;
        while (multipath < count && multipath < maxPaths && DecisionProcess.AreMultipath(best, CandidateOf(index, selected[multipath])))
        {
            multipath++;
        }

        return selected[..Math.Min(count, maxPaths)];
    }
}
