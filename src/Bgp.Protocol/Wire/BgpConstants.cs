namespace Bgp.Protocol;

/// <summary>Sizes and numbers of the protocol (RFC 4271 unless said otherwise).</summary>
public static class BgpConstants
{
    /// <summary>Marker (16), Length (2), Type (1): section 4.1.</summary>
    public const int HeaderLength = 19;

    /// <summary>Octets of the marker.</summary>
    public const int MarkerLength = 16;

    /// <summary>The longest message without RFC 8654.</summary>
    public const int MaxMessageLength = 4096;

    /// <summary>The longest message once both sides sent the Extended Message capability (RFC 8654 section 2).</summary>
    public const int MaxExtendedMessageLength = 65535;

    /// <summary>The well-known TCP port.</summary>
    public const int Port = 179;

    /// <summary>The only version.</summary>
    public const byte Version = 4;

    /// <summary>Stands for an AS number over 65535 where only two octets fit (RFC 6793 section 9).</summary>
    public const ushort AsTrans = 23456;

    /// <summary>Header and two empty length fields.</summary>
    public const int MinUpdateLength = 23;

    /// <summary>Header, version, AS, hold time, identifier, parameter length.</summary>
    public const int MinOpenLength = 29;

    /// <summary>Header, code, subcode.</summary>
    public const int MinNotificationLength = 21;

    /// <summary>Header, AFI, subtype, SAFI (RFC 2918 section 3).</summary>
    public const int RouteRefreshLength = 23;
}

/// <summary>Type octet of a message (RFC 4271 section 4.1, RFC 2918 section 3).</summary>
public enum MessageType : byte
{
    /// <summary>No message.</summary>
    None = 0,

    /// <summary>OPEN.</summary>
    Open = 1,

    /// <summary>UPDATE.</summary>
    Update = 2,

    /// <summary>NOTIFICATION.</summary>
    Notification = 3,

    /// <summary>KEEPALIVE.</summary>
    KeepAlive = 4,

    /// <summary>ROUTE-REFRESH.</summary>
    RouteRefresh = 5,
}

/// <summary>Error codes of a NOTIFICATION (RFC 4271 section 4.5, RFC 7313 section 5, RFC 9687 section 4).</summary>
public static class ErrorCode
{
    /// <summary>Message Header Error.</summary>
    public const byte MessageHeader = 1;

    /// <summary>OPEN Message Error.</summary>
    public const byte OpenMessage = 2;

    /// <summary>UPDATE Message Error.</summary>
    public const byte UpdateMessage = 3;

    /// <summary>Hold Timer Expired.</summary>
    public const byte HoldTimerExpired = 4;

    /// <summary>Finite State Machine Error.</summary>
    public const byte FiniteStateMachine = 5;

    /// <summary>Cease.</summary>
    public const byte Cease = 6;

    /// <summary>ROUTE-REFRESH Message Error.</summary>
    public const byte RouteRefreshMessage = 7;

    /// <summary>Send Hold Timer Expired.</summary>
    public const byte SendHoldTimerExpired = 8;
}

/// <summary>Subcodes of <see cref="ErrorCode.MessageHeader"/> (RFC 4271 section 6.1).</summary>
public static class HeaderSubcode
{
    /// <summary>Connection Not Synchronized.</summary>
    public const byte NotSynchronized = 1;

    /// <summary>Bad Message Length.</summary>
    public const byte BadLength = 2;

    /// <summary>Bad Message Type.</summary>
    public const byte BadType = 3;
}

/// <summary>Subcodes of <see cref="ErrorCode.OpenMessage"/> (RFC 4271 section 6.2).</summary>
public static class OpenSubcode
{
    /// <summary>Unspecific.</summary>
    public const byte Unspecific = 0;

    /// <summary>Unsupported Version Number.</summary>
    public const byte UnsupportedVersion = 1;

    /// <summary>Bad Peer AS.</summary>
    public const byte BadPeerAs = 2;

    /// <summary>Bad BGP Identifier.</summary>
    public const byte BadIdentifier = 3;

    /// <summary>Unsupported Optional Parameter.</summary>
    public const byte UnsupportedParameter = 4;

    /// <summary>Unacceptable Hold Time.</summary>
    public const byte UnacceptableHoldTime = 6;

    /// <summary>Unsupported Capability (RFC 5492 section 5).</summary>
    public const byte UnsupportedCapability = 7;

    /// <summary>Role Mismatch (RFC 9234 section 4.2).</summary>
    public const byte RoleMismatch = 11;
}

/// <summary>Subcodes of <see cref="ErrorCode.UpdateMessage"/> (RFC 4271 section 6.3).</summary>
public static class UpdateSubcode
{
    /// <summary>Malformed Attribute List.</summary>
    public const byte MalformedAttributeList = 1;

    /// <summary>Unrecognized Well-known Attribute.</summary>
    public const byte UnrecognizedWellKnown = 2;

    /// <summary>Missing Well-known Attribute.</summary>
    public const byte MissingWellKnown = 3;

    /// <summary>Attribute Flags Error.</summary>
    public const byte AttributeFlags = 4;

    /// <summary>Attribute Length Error.</summary>
    public const byte AttributeLength = 5;

    /// <summary>Invalid ORIGIN Attribute.</summary>
    public const byte InvalidOrigin = 6;

    /// <summary>Invalid NEXT_HOP Attribute.</summary>
    public const byte InvalidNextHop = 8;

    /// <summary>Optional Attribute Error.</summary>
    public const byte OptionalAttribute = 9;

    /// <summary>Invalid Network Field.</summary>
    public const byte InvalidNetwork = 10;

    /// <summary>Malformed AS_PATH.</summary>
    public const byte MalformedAsPath = 11;
}

/// <summary>Subcodes of <see cref="ErrorCode.FiniteStateMachine"/> (RFC 6608 section 3).</summary>
public static class FsmSubcode
{
    /// <summary>Unspecified.</summary>
    public const byte Unspecified = 0;

    /// <summary>Receive Unexpected Message in OpenSent State.</summary>
    public const byte UnexpectedInOpenSent = 1;

    /// <summary>Receive Unexpected Message in OpenConfirm State.</summary>
    public const byte UnexpectedInOpenConfirm = 2;

    /// <summary>Receive Unexpected Message in Established State.</summary>
    public const byte UnexpectedInEstablished = 3;
}

/// <summary>Subcodes of <see cref="ErrorCode.Cease"/> (RFC 4486 section 3, RFC 8538 section 3.1, RFC 9384).</summary>
public static class CeaseSubcode
{
    /// <summary>Maximum Number of Prefixes Reached.</summary>
    public const byte MaxPrefixes = 1;

    /// <summary>Administrative Shutdown.</summary>
    public const byte AdministrativeShutdown = 2;

    /// <summary>Peer De-configured.</summary>
    public const byte PeerDeconfigured = 3;

    /// <summary>Administrative Reset.</summary>
    public const byte AdministrativeReset = 4;

    /// <summary>Connection Rejected.</summary>
    public const byte ConnectionRejected = 5;

    /// <summary>Other Configuration Change.</summary>
    public const byte OtherConfigurationChange = 6;

    /// <summary>Connection Collision Resolution.</summary>
    public const byte CollisionResolution = 7;

    /// <summary>Out of Resources.</summary>
    public const byte OutOfResources = 8;

    /// <summary>Hard Reset (RFC 8538 section 3.1).</summary>
    public const byte HardReset = 9;

    /// <summary>BFD Down (RFC 9384).</summary>
    public const byte BfdDown = 10;
}

/// <summary>Subcode of <see cref="ErrorCode.RouteRefreshMessage"/> (RFC 7313 section 5).</summary>
public static class RouteRefreshSubcode
{
    /// <summary>Invalid Message Length.</summary>
    public const byte InvalidLength = 1;
}
