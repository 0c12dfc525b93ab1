using System.Buffers.Binary;
using Bgp.Protocol;

namespace Rib;

/// <content>
/// The common case: a route learned over BGP that no rule of a policy changes. One walk over the received octets writes the exported ones, where the
/// builder of the general case walks them once per edit; the outcome is the same, which a test holds it to.
/// </content>
internal sealed partial class ExportTransform<TPrefix>
{
    /// <summary>The exported octets in <see cref="_scratch"/>; 0 when the general case has to do it.</summary>
    private int RewritePlain(in AttributeSummary attributes, ReadOnlySpan<byte> received, RibPeer source, in IpAddr nextHop, in IpAddr linkLocal)
    {
        const ulong mandatory = (1UL << (int)AttributeCode.Origin) | (1UL << (int)AttributeCode.AsPath) | (1UL << (int)AttributeCode.NextHop);
        if ((attributes.Present & mandatory) != mandatory || received.Length > MaxPlain)
        {
            return 0;
        }

        Span<byte> into = _scratch;
        bool internally = _key.IsIbgp;
        bool reflected = internally && RouteReflection.IsReflection(source.Kind, _key.Kind);
        bool needsLocalPref = internally && attributes.LocalPref is null;
        bool needsOriginator = reflected && (attributes.Present & (1UL << (int)AttributeCode.OriginatorId)) == 0;
        bool needsCluster = reflected;
        uint cluster = ClusterOf(source);
        int begin = 0;
        int position = 0;
        if (CommonHead.TryRead(received, out CommonHead head))
        {
            // The same as below for the first three, which nothing comes between.
            begin = head.End;
            received[..(internally ? head.NextHop : CommonHead.Path)].CopyTo(into);
            position = internally ? head.NextHop : PutPath(into, CommonHead.Path, received[CommonHead.Path], received.Slice(CommonHead.PathValue, head.PathLength));
            position = PutNextHop(into, position, nextHop, linkLocal);
        }

        AttributeReader reader = new(received, begin);
        while (true)
        {
            int start = reader.Position;
            bool end = reader.Next(out byte flags, out byte code, out int offset, out int length) != AttributeStep.Attribute;
            if (needsLocalPref && (end || code > (byte)AttributeCode.LocalPref))
            {
                position = Put(into, position, AttributeFlags.Transitive, AttributeCode.LocalPref, DefaultLocalPref);
                needsLocalPref = false;
            }

            if (needsOriginator && (end || code > (byte)AttributeCode.OriginatorId))
            {
                position = Put(into, position, AttributeFlags.Optional, AttributeCode.OriginatorId, source.RouterId);
                needsOriginator = false;
            }

            if (needsCluster && (end || code > (byte)AttributeCode.ClusterList))
            {
                position = Put(into, position, AttributeFlags.Optional, AttributeCode.ClusterList, cluster);
                needsCluster = false;
            }

            if (end)
            {
                return position;
            }

            ReadOnlySpan<byte> value = received.Slice(offset, length);
            switch ((AttributeCode)code)
            {
                case AttributeCode.Local:
                case AttributeCode.LocalPref or AttributeCode.OriginatorId or AttributeCode.ClusterList when !internally:
                case AttributeCode.MultiExitDisc when !internally && attributes.HasAsPath:
                    continue;
                case AttributeCode.AsPath when !internally:
                    position = PutPath(into, position, flags, value);
                    continue;
                case AttributeCode.NextHop:
                    position = PutNextHop(into, position, nextHop, linkLocal);
                    continue;
                case AttributeCode.ClusterList when reflected:
                    position = PutHeader(into, position, (AttributeFlags)flags, code, length + sizeof(uint));
                    BinaryPrimitives.WriteUInt32BigEndian(into[position..], cluster);
                    value.CopyTo(into[(position + sizeof(uint))..]);
                    position += length + sizeof(uint);
                    needsCluster = false;
                    continue;
                case AttributeCode.ExtendedCommunities when !internally:
                    // Some may have to be taken out.
                    return 0;
                default:
                    break;
            }

            if (AttributeDescriptor.Find(code) is null)
            {
                const AttributeFlags passedOn = AttributeFlags.Optional | AttributeFlags.Transitive;
                if (!internally && ((AttributeFlags)flags & AttributeFlags.Transitive) == 0)
                {
                    continue;
                }

                flags |= ((AttributeFlags)flags & passedOn) == passedOn ? (byte)AttributeFlags.Partial : (byte)0;
            }

            received[start..reader.Position].CopyTo(into[position..]);
            into[position] = flags;
            position += reader.Position - start;
        }
    }

    private static int Put(Span<byte> into, int position, AttributeFlags flags, AttributeCode code, uint value)
    {
        position = PutHeader(into, position, flags, (byte)code, sizeof(uint));
        BinaryPrimitives.WriteUInt32BigEndian(into[position..], value);
        return position + sizeof(uint);
    }

    private static int PutNextHop(Span<byte> into, int position, in IpAddr nextHop, in IpAddr linkLocal)
    {
        bool both = nextHop.IsV6 && linkLocal.IsV6;
        position = PutHeader(into, position, AttributeFlags.Transitive, (byte)AttributeCode.NextHop, nextHop.ByteLength + (both ? linkLocal.ByteLength : 0));
        position += nextHop.Write(into[position..]);
        return both ? position + linkLocal.Write(into[position..]) : position;
    }

    /// <summary>The path with our AS number in front (RFC 4271 section 5.1.2).</summary>
    private int PutPath(Span<byte> into, int position, byte flags, ReadOnlySpan<byte> path)
    {
        bool extends = path.Length >= 2 && path[0] == AsSegment.Sequence && path[1] < AsSegment.MaxCount;
        position = PutHeader(into, position, (AttributeFlags)flags, (byte)AttributeCode.AsPath, path.Length + sizeof(uint) + (extends ? 0 : 2));
        into[position] = AsSegment.Sequence;
        into[position + 1] = (byte)(extends ? path[1] + 1 : 1);
        BinaryPrimitives.WriteUInt32BigEndian(into[(position + 2)..], _key.LocalAsn);
        ReadOnlySpan<byte> rest = extends ? path[2..] : path;
        rest.CopyTo(into[(position + 6)..]);
        return position + 6 + rest.Length;
    }

    private static int PutHeader(Span<byte> into, int position, AttributeFlags flags, byte code, int length)
    {
        bool extended = length > byte.MaxValue;
        into[position] = (byte)(((byte)flags & 0xE0) | (extended ? (byte)AttributeFlags.ExtendedLength : 0));
        into[position + 1] = code;
        if (extended)
        {
            BinaryPrimitives.WriteUInt16BigEndian(into[(position + 2)..], (ushort)length);
            return position + 4;
        }

        into[position + 2] = (byte)length;
        return position + 3;
    }
}
