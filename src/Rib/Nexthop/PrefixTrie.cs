using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using Bgp.Protocol;

namespace Rib;

/// <summary>Prefixes of one family with a value each: exact match, longest match, and everything inside a prefix.</summary>
/// <remarks>
/// A path-compressed binary trie (Morrison 1968) in one array: a node is a prefix, has at most two children, both strictly inside it, and exists only
/// because it has a value or because two branches part there. So a lookup compares one whole prefix per level instead of one bit, and n values
/// need at most 2n - 1 nodes. Freed nodes are chained and reused. Exact match alone is what PrefixIndex is for; this is for the few thousand
/// routes of a kernel and for the sets of a policy. Lookups allocate nothing. Not safe for a writer beside readers; readers alone may be many.
/// </remarks>
public sealed class PrefixTrie<TPrefix, TValue>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private const int None = -1;

    private Node[] _nodes = new Node[16];
    private int _used;
    private int _free = None;
    private int _root = None;

    private struct Node
    {
        internal TPrefix Prefix;
        internal TValue Value;
        internal int Zero;
        internal int One;
        internal bool HasValue;
    }

    /// <summary>Receives the entries of a walk; by reference, so that a walk needs no closure.</summary>
    public interface IVisitor
    {
        /// <summary>One entry.</summary>
        void Visit(in TPrefix prefix, TValue value);
    }

    /// <summary>Number of values.</summary>
    public int Count { get; private set; }

    /// <summary>Adds or replaces the value of a prefix.</summary>
    public void Set(in TPrefix prefix, TValue value)
    {
        int parent = None;
        int at = _root;
        while (at != None)
        {
            TPrefix here = _nodes[at].Prefix;
            int common = CommonLength(here, prefix);
            if (common < here.Length)
            {
                int added = NewLeaf(prefix, value);
                if (common == prefix.Length)
                {
                    Attach(added, at);
                    Replace(parent, at, added);
                }
                else
                {
                    int fork = NewNode(TPrefix.Create(prefix.Address, common));
                    Attach(fork, at);
                    Attach(fork, added);
                    Replace(parent, at, fork);
                }

                return;
            }

            if (prefix.Length == here.Length)
            {
                Count += _nodes[at].HasValue ? 0 : 1;
                _nodes[at].HasValue = true;
                _nodes[at].Value = value;
                return;
            }

            parent = at;
            at = prefix.Bit(here.Length) == 0 ? _nodes[at].Zero : _nodes[at].One;
        }

        int leaf = NewLeaf(prefix, value);
        if (parent == None)
        {
            _root = leaf;
        }
        else
        {
            Attach(parent, leaf);
        }
    }

    /// <summary>Removes a prefix; false when it is not there.</summary>
    public bool Remove(in TPrefix prefix)
    {
        int grandparent = None;
        int parent = None;
        int at = _root;
        while (at != None && _nodes[at].Prefix.Length < prefix.Length && _nodes[at].Prefix.Contains(prefix))
        {
            grandparent = parent;
            parent = at;
            at = prefix.Bit(_nodes[at].Prefix.Length) == 0 ? _nodes[at].Zero : _nodes[at].One;
        }

        if (at == None || !_nodes[at].HasValue || !_nodes[at].Prefix.Equals(prefix))
        {
            return false;
        }

        Count--;
        _nodes[at].HasValue = false;
        _nodes[at].Value = default!;
        Collapse(parent, at);

        // A fork that has lost a branch is a node without a purpose.
        if (parent != None && !_nodes[parent].HasValue)
        {
            Collapse(grandparent, parent);
        }

        // A node for each value and as many forks at most.
        if (Slack.IsLarge(2 * Count, _nodes.Length))
        {
            Node[] old = _nodes;
            _nodes = new Node[Slack.Fitting(2 * Count)];
            (_used, _free) = (0, None);
            _root = Move(old, _root);
        }

        return true;
    }

    // Depth is bounded by the 129 lengths a prefix can have.
    private int Move(Node[] from, int at)
    {
        if (at == None)
        {
            return None;
        }

        int to = _used++;
        _nodes[to] = from[at];
        _nodes[to].Zero = Move(from, from[at].Zero);
        _nodes[to].One = Move(from, from[at].One);
        return to;
    }

    /// <summary>The value of exactly this prefix.</summary>
    public bool TryGet(in TPrefix prefix, [MaybeNullWhen(false)] out TValue value)
    {
        int at = _root;
        while (at != None)
        {
            ref Node node = ref _nodes[at];
            int length = node.Prefix.Length;
            if (length > prefix.Length || !node.Prefix.Contains(prefix))
            {
                break;
            }

            if (length == prefix.Length)
            {
                value = node.Value;
                return node.HasValue;
            }

            at = prefix.Bit(length) == 0 ? node.Zero : node.One;
        }

        value = default;
        return false;
    }

    /// <summary>The longest prefix that is equal to the given one or contains it.</summary>
    public bool TryMatch(in TPrefix prefix, out TPrefix match, [MaybeNullWhen(false)] out TValue value)
    {
        int best = None;
        int at = _root;
        while (at != None)
        {
            ref Node node = ref _nodes[at];
            int length = node.Prefix.Length;
            if (length > prefix.Length || !node.Prefix.Contains(prefix))
            {
                break;
            }

            best = node.HasValue ? at : best;
            if (length == prefix.Length)
            {
                break;
            }

            at = prefix.Bit(length) == 0 ? node.Zero : node.One;
        }

        if (best == None)
        {
            match = default;
            value = default;
            return false;
        }

        match = _nodes[best].Prefix;
        value = _nodes[best].Value;
        return true;
    }

    /// <summary>Longest match of an address, which must be of the family.</summary>
    public bool TryMatch(in IpAddr address, out TPrefix match, [MaybeNullWhen(false)] out TValue value) =>
        TryMatch(TPrefix.Create(address, TPrefix.MaxLength), out match, out value);

    /// <summary>Visits every entry that is equal to the prefix or inside it, in prefix order. The trie must not change meanwhile.</summary>
    public void VisitInside<TVisitor>(in TPrefix prefix, ref TVisitor visitor)
        where TVisitor : IVisitor
    {
        int at = _root;
        while (at != None && _nodes[at].Prefix.Length < prefix.Length && _nodes[at].Prefix.Contains(prefix))
        {
            at = prefix.Bit(_nodes[at].Prefix.Length) == 0 ? _nodes[at].Zero : _nodes[at].One;
        }

        if (at != None && prefix.Contains(_nodes[at].Prefix))
        {
            VisitSubtree(at, ref visitor);
        }
    }

    // Depth is bounded by the 129 lengths a prefix can have.
    private void VisitSubtree<TVisitor>(int at, ref TVisitor visitor)
        where TVisitor : IVisitor
    {
        while (at != None)
        {
            ref Node node = ref _nodes[at];
            if (node.HasValue)
            {
                visitor.Visit(node.Prefix, node.Value);
            }

            VisitSubtree(node.Zero, ref visitor);
            at = node.One;
        }
    }

    /// <summary>Leading bits that two prefixes share, at most the shorter length.</summary>
    private static int CommonLength(in TPrefix a, in TPrefix b)
    {
        IpAddr x = a.Address;
        IpAddr y = b.Address;
        int bits = TPrefix.MaxLength == 32
            ? BitOperations.LeadingZeroCount(x.V4Value ^ y.V4Value)
            : x.Hi != y.Hi ? BitOperations.LeadingZeroCount(x.Hi ^ y.Hi) : 64 + BitOperations.LeadingZeroCount(x.Lo ^ y.Lo);
        return Math.Min(bits, Math.Min(a.Length, b.Length));
    }

    private int NewNode(in TPrefix prefix)
    {
        int at = _free;
        if (at != None)
        {
            _free = _nodes[at].Zero;
        }
        else
        {
            if (_used == _nodes.Length)
            {
                Array.Resize(ref _nodes, 2 * _used);
            }

            at = _used++;
        }

        _nodes[at] = new Node { Prefix = prefix, Value = default!, Zero = None, One = None };
        return at;
    }

    private int NewLeaf(in TPrefix prefix, TValue value)
    {
        int at = NewNode(prefix);
        _nodes[at].HasValue = true;
        _nodes[at].Value = value;
        Count++;
        return at;
    }

    private void Attach(int parent, int child)
    {
        if (_nodes[child].Prefix.Bit(_nodes[parent].Prefix.Length) == 0)
        {
            _nodes[parent].Zero = child;
        }
        else
        {
            _nodes[parent].One = child;
        }
    }

    private void Replace(int parent, int old, int now)
    {
        if (parent == None)
        {
            _root = now;
        }
        else if (_nodes[parent].Zero == old)
        {
            _nodes[parent].Zero = now;
        }
        else
        {
            _nodes[parent].One = now;
        }
    }

    /// <summary>Takes out a node without a value that has fewer than two children.</summary>
    private void Collapse(int parent, int at)
    {
        int zero = _nodes[at].Zero;
        int one = _nodes[at].One;
        if (zero != None && one != None)
        {
            return;
        }

        Replace(parent, at, zero != None ? zero : one);
        _nodes[at] = new Node { Value = default!, Zero = _free, One = None };
        _free = at;
    }
}
