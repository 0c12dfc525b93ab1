using System.Buffers.Binary;

namespace Bgp.Protocol;

/// <summary>The capabilities of one side of a session, as carried in its OPEN (RFC 5492).</summary>
/// <remarks>
/// Only what changes how octets are read is judged hard: a Multiprotocol or 4-octet-AS capability of a wrong length ends the session with
/// 2/0 (RFC 4271 section 6.2), because guessing there would lose a family or misread every AS_PATH. Every other capability whose inside is
/// malformed is left out, and unknown ones (role, FQDN, software version, ...) are not looked into at all: routers were crashed by doing so.
/// </remarks>
public sealed class Capabilities
{
    /// <summary>None at all: IPv4 unicast and 2-octet AS numbers.</summary>
    public static Capabilities None { get; } = new();

    /// <summary>Families of Multiprotocol capabilities; empty means that none was sent, which stands for IPv4 unicast.</summary>
    public IReadOnlyList<AfiSafi> Families { get; init; } = [];

    /// <summary>The AS number of the 4-octet-AS capability; null when it is not sent.</summary>
    public uint? As4 { get; init; }

    /// <summary>RFC 2918.</summary>
    public bool RouteRefresh { get; init; }

    /// <summary>RFC 7313.</summary>
    public bool EnhancedRefresh { get; init; }

    /// <summary>RFC 8654.</summary>
    public bool ExtendedMessages { get; init; }

    /// <summary>RFC 4724, or null.</summary>
    public GracefulRestartCapability? GracefulRestart { get; init; }

    /// <summary>RFC 9494; empty when not sent. Means nothing without <see cref="GracefulRestart"/>.</summary>
    public IReadOnlyList<LongLivedFamily> LongLived { get; init; } = [];

    /// <summary>RFC 7911; empty when not sent.</summary>
    public IReadOnlyList<AddPathFamily> AddPath { get; init; } = [];

    /// <summary>RFC 8950 for IPv4 unicast NLRI with an IPv6 next hop.</summary>
    public bool ExtendedNextHop { get; init; }

    /// <summary>Whether routes of this family can be exchanged, with the default for those that send no Multiprotocol capability.</summary>
    public bool HasFamily(AfiSafi family)
    {
        if (Families.Count == 0)
        {
            return family == AfiSafi.Ipv4Unicast;
        }

        for (int i = 0; i < Families.Count; i++)
        {
            if (Families[i] == family)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Directions of ADD-PATH that were said for the family.</summary>
    public AddPathMode AddPathFor(AfiSafi family)
    {
        for (int i = 0; i < AddPath.Count; i++)
        {
            if (AddPath[i].Family == family)
            {
                return AddPath[i].Mode;
            }
        }

        return AddPathMode.None;
    }

    /// <summary>Writes every capability (code, length, value), without the optional parameter around them.</summary>
    internal void Write(ref WireWriter writer)
    {
        foreach (AfiSafi family in Families)
        {
            Begin(ref writer, CapabilityCode.Multiprotocol, 4);
            writer.WriteUInt16(family.Afi());
            writer.WriteByte(0);
            writer.WriteByte(family.Safi());
        }

        if (RouteRefresh)
        {
            Begin(ref writer, CapabilityCode.RouteRefresh, 0);
        }

        if (ExtendedNextHop)
        {
            Begin(ref writer, CapabilityCode.ExtendedNextHop, 6);
            writer.WriteUInt16(1);
            writer.WriteUInt16(1);
            writer.WriteUInt16(2);
        }

        if (ExtendedMessages)
        {
            Begin(ref writer, CapabilityCode.ExtendedMessage, 0);
        }

        if (GracefulRestart is { } restart)
        {
            Begin(ref writer, CapabilityCode.GracefulRestart, 2 + (4 * restart.Families.Count));
            int flags = (restart.RestartState ? 0x8000 : 0) | (restart.Notification ? 0x4000 : 0);
            writer.WriteUInt16((ushort)(flags | Math.Clamp(restart.RestartTime, 0, GracefulRestartCapability.MaxRestartTime)));
            foreach (GracefulRestartFamily family in restart.Families)
            {
                writer.WriteUInt16(family.Family.Afi());
                writer.WriteByte(family.Family.Safi());
                writer.WriteByte(family.ForwardingPreserved ? (byte)0x80 : (byte)0);
            }
        }

        if (As4 is { } asn)
        {
            Begin(ref writer, CapabilityCode.FourOctetAs, 4);
            writer.WriteUInt32(asn);
        }

        if (AddPath.Count > 0)
        {
            Begin(ref writer, CapabilityCode.AddPath, 4 * AddPath.Count);
            foreach (AddPathFamily family in AddPath)
            {
                writer.WriteUInt16(family.Family.Afi());
                writer.WriteByte(family.Family.Safi());
                writer.WriteByte((byte)family.Mode);
            }
        }

        if (EnhancedRefresh)
        {
            Begin(ref writer, CapabilityCode.EnhancedRouteRefresh, 0);
        }

        if (LongLived.Count > 0)
        {
            Begin(ref writer, CapabilityCode.LongLivedGracefulRestart, 7 * LongLived.Count);
            foreach (LongLivedFamily family in LongLived)
            {
                writer.WriteUInt16(family.Family.Afi());
                writer.WriteByte(family.Family.Safi());
                writer.WriteByte(family.ForwardingPreserved ? (byte)0x80 : (byte)0);
                int time = Math.Clamp(family.StaleTime, 0, 0xFFFFFF);
                writer.WriteByte((byte)(time >> 16));
                writer.WriteUInt16((ushort)time);
            }
        }
    }

    private static void Begin(ref WireWriter writer, byte code, int length)
    {
        writer.WriteByte(code);
        int at = writer.ReserveByte();
        writer.PatchByte(at, length);
    }

    /// <summary>Collects capabilities over any number of optional parameters.</summary>
    internal sealed class Collector
    {
        private readonly List<AfiSafi> _families = [];
        private readonly List<LongLivedFamily> _longLived = [];
        private readonly List<AddPathFamily> _addPath = [];
        private GracefulRestartCapability? _restart;
        private uint? _as4;
        private bool _routeRefresh;
        private bool _enhancedRefresh;
        private bool _extendedMessages;
        private bool _extendedNextHop;

        /// <summary>Reads the value of one Capabilities parameter. False: a capability overruns it, or a vital one is malformed.</summary>
        public bool TryAdd(ReadOnlySpan<byte> parameter)
        {
            WireReader reader = new(parameter);
            while (!reader.IsEmpty)
            {
                if (!reader.TryReadByte(out byte code) || !reader.TryReadByte(out byte length) || !reader.TryReadBytes(length, out ReadOnlySpan<byte> value))
                {
                    return false;
                }

                if (!TryAddOne(code, value))
                {
                    return false;
                }
            }

            return true;
        }

        public Capabilities Build() => new()
        {
            Families = _families,
            As4 = _as4,
            RouteRefresh = _routeRefresh,
            EnhancedRefresh = _enhancedRefresh,
            ExtendedMessages = _extendedMessages,
            GracefulRestart = _restart,
            // RFC 9494 section 4.1: to be ignored without the Graceful Restart capability.
            LongLived = _restart is null ? [] : _longLived,
            AddPath = _addPath,
            ExtendedNextHop = _extendedNextHop,
        };

        private bool TryAddOne(byte code, ReadOnlySpan<byte> value)
        {
            switch (code)
            {
                case CapabilityCode.Multiprotocol:
                    if (value.Length != 4)
                    {
                        return false;
                    }

                    AfiSafi family = ReadFamily(value, value[3]);
                    if (!_families.Contains(family))
                    {
                        _families.Add(family);
                    }

                    return true;
                case CapabilityCode.FourOctetAs:
                    if (value.Length != 4)
                    {
                        return false;
                    }

                    _as4 = BinaryPrimitives.ReadUInt32BigEndian(value);
                    return true;
                case CapabilityCode.RouteRefresh:
                    _routeRefresh |= value.IsEmpty;
                    return true;
                case CapabilityCode.EnhancedRouteRefresh:
                    _enhancedRefresh |= value.IsEmpty;
                    return true;
                case CapabilityCode.ExtendedMessage:
                    _extendedMessages |= value.IsEmpty;
                    return true;
                case CapabilityCode.ExtendedNextHop:
                    AddExtendedNextHop(value);
                    return true;
                case CapabilityCode.GracefulRestart:
                    AddGracefulRestart(value);
                    return true;
                case CapabilityCode.LongLivedGracefulRestart:
                    AddLongLived(value);
                    return true;
                case CapabilityCode.AddPath:
                    AddAddPath(value);
                    return true;
                default:
                    return true;
            }
        }

        private static AfiSafi ReadFamily(ReadOnlySpan<byte> value, byte safi) =>
            AfiSafiExtensions.Join(BinaryPrimitives.ReadUInt16BigEndian(value), safi);

        private void AddExtendedNextHop(ReadOnlySpan<byte> value)
        {
            if (value.Length % 6 != 0)
            {
                return;
            }

            for (; !value.IsEmpty; value = value[6..])
            {
                // NLRI AFI 1, NLRI SAFI 1, next hop AFI 2; SAFI takes two octets here (RFC 8950 section 4).
                _extendedNextHop |= BinaryPrimitives.ReadUInt16BigEndian(value) == 1
                    && BinaryPrimitives.ReadUInt16BigEndian(value[2..]) == 1
                    && BinaryPrimitives.ReadUInt16BigEndian(value[4..]) == 2;
            }
        }

        private void AddGracefulRestart(ReadOnlySpan<byte> value)
        {
            if (value.Length < 2 || value.Length % 4 != 2)
            {
                return;
            }

            int head = BinaryPrimitives.ReadUInt16BigEndian(value);
            List<GracefulRestartFamily> families = [];
            for (value = value[2..]; !value.IsEmpty; value = value[4..])
            {
                families.Add(new GracefulRestartFamily(ReadFamily(value, value[2]), (value[3] & 0x80) != 0));
            }

            // RFC 4724 section 3: of several instances the last counts.
            _restart = new GracefulRestartCapability
            {
                RestartState = (head & 0x8000) != 0,
                Notification = (head & 0x4000) != 0,
                RestartTime = head & GracefulRestartCapability.MaxRestartTime,
                Families = families,
            };
        }

        private void AddLongLived(ReadOnlySpan<byte> value)
        {
            if (value.Length % 7 != 0)
            {
                return;
            }

            // RFC 9494 section 3: of several instances the last counts.
            _longLived.Clear();
            for (; !value.IsEmpty; value = value[7..])
            {
                int time = (value[4] << 16) | BinaryPrimitives.ReadUInt16BigEndian(value[5..]);
                _longLived.Add(new LongLivedFamily(ReadFamily(value, value[2]), (value[3] & 0x80) != 0, time));
            }
        }

        private void AddAddPath(ReadOnlySpan<byte> value)
        {
            if (value.Length % 4 != 0)
            {
                return;
            }

            for (ReadOnlySpan<byte> rest = value; !rest.IsEmpty; rest = rest[4..])
            {
                AddPathFamily family = new(ReadFamily(rest, rest[2]), (AddPathMode)rest[3]);

                // RFC 7911 section 4: any other Send/Receive value makes the tuple not understood. The first of two for a family counts.
                if (family.Mode is >= AddPathMode.Receive and <= AddPathMode.Both && !_addPath.Exists(known => known.Family == family.Family))
                {
                    _addPath.Add(family);
                }
            }
        }
    }
}
