using System.Buffers.Binary;

namespace Bgp.Protocol;

/// <summary>Session states (RFC 5880 section 4.1), with the numbers of the wire.</summary>
public enum BfdState : byte
{
    /// <summary>Held down by an operator: says nothing of the path.</summary>
    AdminDown = 0,

    /// <summary>Hears nothing, or nothing that fits.</summary>
    Down = 1,

    /// <summary>Hears the neighbour, which does not hear us yet.</summary>
    Init = 2,

    /// <summary>Both hear each other.</summary>
    Up = 3,
}

/// <summary>Why a session went down the last time (RFC 5880 section 4.1). Other numbers may arrive and mean nothing here.</summary>
public enum BfdDiagnostic : byte
{
    /// <summary>Nothing happened.</summary>
    None = 0,

    /// <summary>The neighbour was silent for the detection time.</summary>
    DetectionTimeExpired = 1,

    /// <summary>An echo was lost.</summary>
    EchoFailed = 2,

    /// <summary>The neighbour said that its session is down.</summary>
    NeighborSignaledDown = 3,

    /// <summary>The forwarding plane was reset.</summary>
    ForwardingPlaneReset = 4,

    /// <summary>The path is known to be down by other means.</summary>
    PathDown = 5,

    /// <summary>A path beyond the neighbour is down.</summary>
    ConcatenatedPathDown = 6,

    /// <summary>An operator.</summary>
    AdministrativelyDown = 7,

    /// <summary>A path beyond the neighbour, towards us, is down.</summary>
    ReverseConcatenatedPathDown = 8,
}

/// <summary>Why a packet was ignored: the checks of RFC 5880 section 6.8.6 and of RFC 5881 section 5, in their order.</summary>
public enum BfdVerdict : byte
{
    /// <summary>It was not.</summary>
    Accepted,

    /// <summary>Not version 1.</summary>
    Version,

    /// <summary>Too short, or its length octet is.</summary>
    Length,

    /// <summary>Detect Mult is 0.</summary>
    Multiplier,

    /// <summary>The Multipoint bit is set.</summary>
    Multipoint,

    /// <summary>My Discriminator is 0, or Your Discriminator is and the state says that it is known.</summary>
    Discriminator,

    /// <summary>It is authenticated, and no session here is.</summary>
    Authentication,

    /// <summary>It came from farther away than the session allows.</summary>
    TimeToLive,

    /// <summary>There is no such session, or not with that neighbour.</summary>
    NoSession,

    /// <summary>The session is held down here.</summary>
    AdminDown,
}

/// <summary>A BFD Control packet without authentication (RFC 5880 section 4.1). Intervals are in microseconds.</summary>
public readonly record struct BfdPacket
{
    /// <summary>Octets of a packet without authentication.</summary>
    public const int Length = 24;

    private const byte VersionOne = 1 << 5;
    private const byte PollBit = 0x20;
    private const byte FinalBit = 0x10;
    private const byte IndependentBit = 0x08;
    private const byte AuthenticationBit = 0x04;
    private const byte DemandBit = 0x02;
    private const byte MultipointBit = 0x01;

    /// <summary>The sender's reason for its latest fall.</summary>
    public BfdDiagnostic Diagnostic { get; init; }

    /// <summary>The sender's state.</summary>
    public BfdState State { get; init; }

    /// <summary>P: wants an answer with F.</summary>
    public bool Poll { get; init; }

    /// <summary>F: answers a P.</summary>
    public bool Final { get; init; }

    /// <summary>C: the sender's BFD survives a restart of its routing.</summary>
    public bool ControlPlaneIndependent { get; init; }

    /// <summary>D: wants no periodic packets while both are Up.</summary>
    public bool Demand { get; init; }

    /// <summary>Lost packets until the receiver gives up.</summary>
    public byte Multiplier { get; init; }

    /// <summary>The sender's name for the session; never 0.</summary>
    public uint MyDiscriminator { get; init; }

    /// <summary>The receiver's name for it, or 0 where the sender does not know it.</summary>
    public uint YourDiscriminator { get; init; }

    /// <summary>How often the sender would like to send.</summary>
    public uint DesiredMinTx { get; init; }

    /// <summary>How often it can receive; 0: wants no periodic packets.</summary>
    public uint RequiredMinRx { get; init; }

    /// <summary>How often it can receive echoes; 0: not at all.</summary>
    public uint RequiredMinEchoRx { get; init; }

    /// <summary>
    /// Reads the payload of a datagram and makes the checks that need no session (RFC 5880 section 6.8.6). Octets after the length that the packet
    /// states are ignored.
    /// </summary>
    public static BfdVerdict TryParse(ReadOnlySpan<byte> octets, out BfdPacket packet)
    {
        packet = default;
        if (octets.Length < Length)
        {
            return BfdVerdict.Length;
        }

        if (octets[0] >> 5 != 1)
        {
            return BfdVerdict.Version;
        }

        byte flags = octets[1];
        int least = (flags & AuthenticationBit) != 0 ? Length + 2 : Length;
        if (octets[3] < least || octets[3] > octets.Length)
        {
            return BfdVerdict.Length;
        }

        if (octets[2] == 0)
        {
            return BfdVerdict.Multiplier;
        }

        if ((flags & MultipointBit) != 0)
        {
            return BfdVerdict.Multipoint;
        }

        packet = new BfdPacket
        {
            Diagnostic = (BfdDiagnostic)(octets[0] & 0x1F),
            State = (BfdState)(flags >> 6),
            Poll = (flags & PollBit) != 0,
            Final = (flags & FinalBit) != 0,
            ControlPlaneIndependent = (flags & IndependentBit) != 0,
            Demand = (flags & DemandBit) != 0,
            Multiplier = octets[2],
            MyDiscriminator = BinaryPrimitives.ReadUInt32BigEndian(octets[4..]),
            YourDiscriminator = BinaryPrimitives.ReadUInt32BigEndian(octets[8..]),
            DesiredMinTx = BinaryPrimitives.ReadUInt32BigEndian(octets[12..]),
            RequiredMinRx = BinaryPrimitives.ReadUInt32BigEndian(octets[16..]),
            RequiredMinEchoRx = BinaryPrimitives.ReadUInt32BigEndian(octets[20..]),
        };
        if (packet.MyDiscriminator == 0 || (packet.YourDiscriminator == 0 && packet.State is not (BfdState.Down or BfdState.AdminDown)))
        {
            return BfdVerdict.Discriminator;
        }

        return (flags & AuthenticationBit) != 0 ? BfdVerdict.Authentication : BfdVerdict.Accepted;
    }

    /// <summary>Writes <see cref="Length"/> octets.</summary>
    public void Write(Span<byte> into)
    {
        into[0] = (byte)(VersionOne | ((byte)Diagnostic & 0x1F));
        into[1] = (byte)(((byte)State << 6) | (Poll ? PollBit : 0) | (Final ? FinalBit : 0) | (ControlPlaneIndependent ? IndependentBit : 0) | (Demand ? DemandBit : 0));
        into[2] = Multiplier;
        into[3] = Length;
        BinaryPrimitives.WriteUInt32BigEndian(into[4..], MyDiscriminator);
        BinaryPrimitives.WriteUInt32BigEndian(into[8..], YourDiscriminator);
        BinaryPrimitives.WriteUInt32BigEndian(into[12..], DesiredMinTx);
        BinaryPrimitives.WriteUInt32BigEndian(into[16..], RequiredMinRx);
        BinaryPrimitives.WriteUInt32BigEndian(into[20..], RequiredMinEchoRx);
    }
}
