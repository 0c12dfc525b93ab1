using System.Buffers.Binary;
using Bgp.Protocol;

namespace Rib.Tests.Export;

/// <summary>Members that change their update group in the middle of everything: what each has heard must stay what its group announces.</summary>
[TestFixture]
public sealed class GroupTransferTests
{
    [Test]
    public void What_a_member_has_heard_is_what_its_group_announces_after_any_sequence_of_moves([Range(1, 60)] int seed, [Values(0, 3)] int addPath)
    {
        Network network = new(seed, addPath);
        for (int step = 0; step < 300; step++)
        {
            network.Step();
        }

        network.Finish();
    }

    [Test]
    public void A_move_between_groups_that_announce_the_same_sends_nothing([Values(0, 3)] int addPath)
    {
        Network network = new(1, addPath) { Policies = 1 };
        for (int step = 0; step < 200; step++)
        {
            network.Step();
        }

        network.Finish();
        long before = network.Messages;
        network.MoveAll(1);
        network.Finish();
        Assert.That(network.Messages, Is.EqualTo(before));
    }

    [Test]
    public void A_move_sends_what_differs_and_nothing_else()
    {
        Network network = new(3, 0);
        for (int step = 0; step < 200; step++)
        {
            network.Step();
        }

        network.MoveAll(0);
        network.Finish();
        long before = network.Routes;
        network.MoveAll(2);
        network.Finish();

        // Of 30 prefixes at most ten are rejected by the one and not by the other, and as many the other way round.
        Assert.That(network.Routes - before, Is.GreaterThan(network.Members).And.LessThanOrEqualTo(network.Members * 20));
    }

    /// <summary>Rejects one prefix in three, which ones depends on the number.</summary>
    private sealed class Policy(int number, int different) : IRoutePolicy<Ipv4Prefix>
    {
        public string ContentKey => $"policy {number}";

        public bool ChangesRoutes => false;

        public PolicyResult Evaluate(in Ipv4Prefix prefix, PathAttributes attributes, in PolicyContext context) =>
            new((prefix.Address.V4Value >> 8) % 3 != number % different, null, "");
    }

    private sealed class Network
    {
        private const int PrefixCount = 30;

        private readonly Random _random;
        private readonly AttributeTable _attributes = new();
        private readonly RibShard<Ipv4Prefix> _shard;
        private readonly RibPeer[] _peers;
        private readonly uint[] _sets;
        private readonly int _addPath;
        private readonly uint[] _dirty = new uint[8];
        private readonly Dictionary<string, UpdateGroup<Ipv4Prefix>> _groups = [];
        private readonly Dictionary<ushort, (UpdateGroup<Ipv4Prefix> Group, GroupMember Member, int Wanted)> _members = [];
        private readonly Dictionary<ushort, Dictionary<(Ipv4Prefix Prefix, uint PathId), uint>> _heard = [];

        internal Network(int seed, int addPath)
        {
            _random = new Random(seed);
            _addPath = addPath;
            _shard = new RibShard<Ipv4Prefix>(_attributes, new AlwaysResolved(static _ => false), new RibOptions { AllPaths = addPath > 0 });
            _peers = [.. Enumerable.Range(1, 6).Select(static i => new RibPeer { Index = (ushort)i, Name = $"p{i}", Kind = PeerKind.Ebgp, Asn = (uint)(65000 + i), LocalAsn = 64512, RouterId = (uint)i, Address = IpAddr.V4((uint)i) })];
            Array.ForEach(_peers, _shard.SetPeer);
            _sets = [.. Enumerable.Range(0, 4).Select(i =>
            {
                Span<byte> buffer = stackalloc byte[512];
                PathAttributesBuilder builder = PathAttributesBuilder.Originate(buffer, Origin.Igp, IpAddr.V4(0x0A0A0A0A));
                builder.AddCommunity((uint)i + 1);
                return _attributes.Intern(builder.Build());
            })];
        }

        internal int Policies { get; init; } = 3;

        internal int Members => _members.Count;

        internal long Messages { get; private set; }

        internal long Routes { get; private set; }

        internal void Step()
        {
            RibPeer peer = _peers[_random.Next(_peers.Length)];
            Ipv4Prefix prefix = new(0x0A000000u + ((uint)_random.Next(PrefixCount) << 8), 24);
            switch (_random.Next(10))
            {
                case < 4:
                    _shard.Reach([prefix], [(uint)_random.Next(_addPath > 0 ? 2 : 1)], peer.Index, _sets[_random.Next(_sets.Length)], PathFlags.None);
                    break;
                case 4:
                    _shard.Unreach([prefix], [(uint)_random.Next(_addPath > 0 ? 2 : 1)], peer.Index);
                    break;
                case 5:
                    JoinOrLeave(peer);
                    break;
                case 6:
                    Turn();
                    break;
                case 7:
                    Read(peer.Index, _random.Next(1, 3));
                    break;
                default:
                    Want(peer.Index, _random.Next(3));
                    RunMoves();
                    break;
            }
        }

        internal void MoveAll(int policy)
        {
            foreach (ushort peer in _members.Keys.ToArray())
            {
                Want(peer, policy);
            }
        }

        internal void Finish()
        {
            for (int i = 0; i < 50; i++)
            {
                RunMoves();
                Turn();
                foreach (ushort peer in _members.Keys.ToArray())
                {
                    Read(peer, int.MaxValue);
                }
            }

            foreach ((ushort peer, (UpdateGroup<Ipv4Prefix> group, GroupMember member, int wanted)) in _members)
            {
                Assert.That(group.Key.Policy, Is.EqualTo($"policy {wanted}"), $"peer {peer} has moved");
                Assert.That(member.EndOfRibSent);
                Dictionary<(Ipv4Prefix, uint), uint> expected = [];
                for (uint index = 1; index < _shard.IndexLimit; index++)
                {
                    for (int slot = 0; slot < Math.Max(1, _addPath); slot++)
                    {
                        if (group.TryGetAdvertised(index, slot, out AdjRibOutEntry entry) && entry.Source != peer)
                        {
                            Ipv4Prefix prefix = _shard.PrefixAt(index);
                            Assert.That(new Policy(wanted, Policies).Evaluate(prefix, null!, default).Accept, "the group announces what its policy lets out");
                            expected[(prefix, _addPath > 0 ? (uint)slot + 1 : 0)] = CommunityOf(_attributes.Get(entry.Attr));
                        }
                    }

                    if (_addPath == 0 && _shard.Select(index, 1, out _) is [var best] && best.Peer != peer)
                    {
                        bool accepted = new Policy(wanted, Policies).Evaluate(_shard.PrefixAt(index), null!, default).Accept;
                        Assert.That(expected.ContainsKey((_shard.PrefixAt(index), 0)), Is.EqualTo(accepted), "the group announces all that its policy lets out");
                    }
                }

                Assert.That(_heard[peer], Is.EquivalentTo(expected), $"what peer {peer} has heard");
            }
        }

        private static uint CommunityOf(PathAttributes attributes) => BinaryPrimitives.ReadUInt32BigEndian(attributes.Communities);

        private void JoinOrLeave(RibPeer peer)
        {
            if (_members.Remove(peer.Index, out (UpdateGroup<Ipv4Prefix> Group, GroupMember Member, int) left))
            {
                left.Group.Leave(left.Member);
                CloseIfEmpty(left.Group);
                return;
            }

            int policy = _random.Next(3);
            UpdateGroup<Ipv4Prefix> group = GroupOf(policy);
            _members[peer.Index] = (group, group.Join(peer, static () => { }), policy);
            _heard[peer.Index] = [];
        }

        private void Want(ushort peer, int policy)
        {
            if (_members.TryGetValue(peer, out (UpdateGroup<Ipv4Prefix> Group, GroupMember Member, int) member))
            {
                _members[peer] = (member.Group, member.Member, policy);
            }
        }

        private void RunMoves()
        {
            foreach (IGrouping<(UpdateGroup<Ipv4Prefix> From, int To), ushort> together in _members.Where(static item => item.Value.Group.Key.Policy != $"policy {item.Value.Wanted}")
                .GroupBy(static item => (item.Value.Group, item.Value.Wanted), static item => item.Key).ToArray())
            {
                UpdateGroup<Ipv4Prefix> to = GroupOf(together.Key.To);
                List<GroupMember> members = [.. together.Select(peer => _members[peer].Member)];
                to.TakeOver(together.Key.From, members);
                foreach (ushort peer in together.Where(peer => !members.Contains(_members[peer].Member)))
                {
                    _members[peer] = (to, _members[peer].Member, together.Key.To);
                }

                CloseIfEmpty(together.Key.From);
                CloseIfEmpty(to);
            }
        }

        private UpdateGroup<Ipv4Prefix> GroupOf(int policy)
        {
            Policy rules = new(policy, Policies);
            if (!_groups.TryGetValue(rules.ContentKey, out UpdateGroup<Ipv4Prefix>? group))
            {
                UpdateGroupKey key = new() { Family = AfiSafi.Ipv4Unicast, Kind = PeerKind.Ebgp, LocalAsn = 64512, Policy = rules.ContentKey, Self = IpAddr.V4(0x0A0A0A01), AddPathLimit = _addPath };
                _groups[rules.ContentKey] = group = new UpdateGroup<Ipv4Prefix>(key, _shard, _attributes, rules);
            }

            return group;
        }

        private void CloseIfEmpty(UpdateGroup<Ipv4Prefix> group)
        {
            if (group.Members.Count == 0)
            {
                group.Close();
                _groups.Remove(group.Key.Policy);
            }
        }

        private void Turn()
        {
            int count;
            while ((count = _shard.DrainChanges(_dirty)) > 0)
            {
                foreach (UpdateGroup<Ipv4Prefix> group in _groups.Values)
                {
                    foreach (uint index in _dirty.AsSpan(0, count))
                    {
                        group.MarkDirty(index);
                    }
                }
            }

            foreach (UpdateGroup<Ipv4Prefix> group in _groups.Values)
            {
                group.Turn(_random.Next(1, 12));
            }
        }

        private void Read(ushort peer, int runs)
        {
            if (!_members.TryGetValue(peer, out (UpdateGroup<Ipv4Prefix> Group, GroupMember Member, int) member))
            {
                return;
            }

            byte[] buffer = new byte[4096];
            for (; runs > 0 && member.Member.TryTake(buffer, out int written); runs--)
            {
                for (int at = 0; at < written; at += BinaryPrimitives.ReadUInt16BigEndian(buffer.AsSpan(at + 16)))
                {
                    Hear(_heard[peer], buffer.AsSpan(at + 19, BinaryPrimitives.ReadUInt16BigEndian(buffer.AsSpan(at + 16)) - 19));
                }
            }
        }

        private void Hear(Dictionary<(Ipv4Prefix Prefix, uint PathId), uint> heard, ReadOnlySpan<byte> body)
        {
            Messages++;
            int withdrawn = BinaryPrimitives.ReadUInt16BigEndian(body);
            ReadOnlySpan<byte> gone = body.Slice(2, withdrawn);
            int length = BinaryPrimitives.ReadUInt16BigEndian(body[(2 + withdrawn)..]);
            ReadOnlySpan<byte> attributes = body.Slice(4 + withdrawn, length);
            ReadOnlySpan<byte> nlri = body[(4 + withdrawn + length)..];
            while (!gone.IsEmpty)
            {
                (Ipv4Prefix Prefix, uint PathId) key = Take(ref gone);
                Assert.That(heard.Remove(key), $"{key.Prefix} was withdrawn without having been announced");
            }

            uint community = 0;
            while (!attributes.IsEmpty)
            {
                int size = attributes[2];
                community = attributes[1] == 8 ? BinaryPrimitives.ReadUInt32BigEndian(attributes[3..]) : community;
                attributes = attributes[(3 + size)..];
            }

            while (!nlri.IsEmpty)
            {
                heard[Take(ref nlri)] = community;
            }
        }

        private (Ipv4Prefix Prefix, uint PathId) Take(ref ReadOnlySpan<byte> nlri)
        {
            uint id = 0;
            Routes++;
            if (_addPath > 0)
            {
                id = BinaryPrimitives.ReadUInt32BigEndian(nlri);
                nlri = nlri[4..];
            }

            Assert.That(Ipv4Prefix.TryRead(ref nlri, out Ipv4Prefix prefix));
            return (prefix, id);
        }
    }
}
