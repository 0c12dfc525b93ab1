using System.Runtime.InteropServices;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Kernel.Netlink;

/// <summary>RTM_*NEXTHOP in both directions (linux/nexthop.h).</summary>
internal static class NexthopCodec
{
    /// <summary>Members beyond this are not read: such a group is not ours, and its routes' next hops are only listed.</summary>
    internal const int MaxMembers = RouteCodec.MaxHops;

    /// <summary>Room that one request may need.</summary>
    internal static int RequestLength(int members) => 80 + (8 * members);

    /// <summary>Decodes the body of RTM_NEWNEXTHOP or RTM_DELNEXTHOP; false when it does not parse or has no id.</summary>
    internal static bool TryRead(ReadOnlySpan<byte> body, out KernelNexthop found)
    {
        found = null!;
        if (body.Length < Rt.NhmsgLength)
        {
            return false;
        }

        uint id = 0;
        int oif = 0;
        IpAddr gateway = default;
        bool plain = true;
        bool blackhole = false;
        NexthopMember[] group = [];
        AttributeReader attributes = new(body[Rt.NhmsgLength..]);
        while (attributes.TryRead(out int type, out ReadOnlySpan<byte> value))
        {
            switch (type)
            {
                case Rt.NhaId when value.Length == 4:
                    id = MemoryMarshal.Read<uint>(value);
                    break;
                case Rt.NhaOif when value.Length == 4:
                    oif = MemoryMarshal.Read<int>(value);
                    break;
                case Rt.NhaGateway when value.Length is 4 or 16:
                    gateway = IpAddr.FromBytes(value);
                    break;
                case Rt.NhaBlackhole:
                    blackhole = true;
                    break;
                case Rt.NhaGroup:
                    group = ReadGroup(value);
                    break;
                case Rt.NhaGroupType when value.Length == 2:
                    plain &= MemoryMarshal.Read<ushort>(value) == 0;
                    break;
                case Rt.NhaEncapType or Rt.NhaEncap or Rt.NhaFdb or Rt.NhaResilientGroup:
                    plain = false;
                    break;
            }
        }

        blackhole &= group.Length == 0;
        bool onLink = (MemoryMarshal.Read<uint>(body[4..]) & Rt.HopOnLink) != 0;
        FibNextHop hop = group.Length > 0 ? default : new FibNextHop(gateway, blackhole ? 0 : oif, onLink);
        found = new KernelNexthop(id, body[2], group.Length == 0 && body[0] == Rt.AfInet, hop, plain, blackhole, group);
        return id != 0;
    }

    // struct nexthop_grp: id, weight - 1, its high octet (Linux 6.12), reserved.
    private static NexthopMember[] ReadGroup(ReadOnlySpan<byte> value)
    {
        NexthopMember[] group = new NexthopMember[Math.Min(value.Length / 8, MaxMembers)];
        for (int i = 0; i < group.Length; i++)
        {
            ReadOnlySpan<byte> member = value[(8 * i)..];
            group[i] = new NexthopMember(MemoryMarshal.Read<uint>(member), Math.Min((member[4] | (member[5] << 8)) + 1, 256));
        }

        return group;
    }

    /// <summary>Writes one request. The caller has checked that <see cref="RequestLength"/> octets are free.</summary>
    internal static void Write(ref NetlinkWriter writer, in NexthopOp op, uint sequence)
    {
        KernelNexthop wanted = op.Object;
        (ushort type, ushort flags) = op.Kind switch
        {
            NexthopOpKind.Create => (Rt.NewNexthop, Rt.RequestCreate),
            NexthopOpKind.Replace => (Rt.NewNexthop, Rt.RequestReplace),
            _ => (Rt.DelNexthop, Rt.FlagRequest),
        };
        Span<byte> body = writer.Begin(type, flags, sequence, Rt.NhmsgLength);
        writer.Attribute(Rt.NhaId, wanted.Id);
        if (op.Kind == NexthopOpKind.Delete)
        {
            writer.End();
            return;
        }

        body[2] = wanted.Protocol;
        if (wanted.Group.Length > 0)
        {
            Span<byte> members = writer.Attribute(Rt.NhaGroup, 8 * wanted.Group.Length);
            for (int i = 0; i < wanted.Group.Length; i++)
            {
                MemoryMarshal.Write(members[(8 * i)..], wanted.Group[i].Id);
                members[(8 * i) + 4] = Rt.WeightOctet(wanted.Group[i].Weight);
            }

            writer.End();
            return;
        }

        body[0] = Rt.Family(wanted.IsV4);
        if (wanted.Blackhole)
        {
            writer.Attribute(Rt.NhaBlackhole, 0);
            writer.End();
            return;
        }

        if (wanted.Hop.OnLink)
        {
            body[4] = Rt.HopOnLink;
        }

        writer.Attribute(Rt.NhaOif, (uint)wanted.Hop.Interface);
        if (!wanted.Hop.Gateway.IsNone)
        {
            writer.Attribute(Rt.NhaGateway, wanted.Hop.Gateway);
        }

        writer.End();
    }

    /// <summary>A request for all objects, or for one.</summary>
    internal static void WriteGet(ref NetlinkWriter writer, uint id, uint sequence)
    {
        writer.Begin(Rt.GetNexthop, id == 0 ? (ushort)(Rt.FlagRequest | Rt.FlagDump) : Rt.FlagRequest, sequence, Rt.NhmsgLength);
        if (id != 0)
        {
            writer.Attribute(Rt.NhaId, id);
        }

        writer.End();
    }
}
