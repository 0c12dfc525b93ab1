namespace Bgp.Interop.Tests.Conformance;

/// <summary>The daemon's state when the octets of a case arrive.</summary>
internal enum Stage
{
    /// <summary>It has sent OPEN and waits for ours.</summary>
    OpenSent,

    /// <summary>It has our OPEN and waits for KEEPALIVE.</summary>
    OpenConfirm,

    /// <summary>A session.</summary>
    Established,
}

/// <summary>What the daemon must do.</summary>
internal enum Verdict
{
    /// <summary>NOTIFICATION with the case's code, subcode and data, and the end.</summary>
    Notified,

    /// <summary>The end, without a word.</summary>
    Silent,

    /// <summary>Nothing ends: the session is established, or stays so.</summary>
    Lives,
}

/// <summary>Octets other than an UPDATE in a session, and what must come of them.</summary>
/// <param name="Row">RFC and section.</param>
/// <param name="Name">What is special about them.</param>
/// <param name="Who">The neighbour that sends them.</param>
/// <param name="At">When.</param>
/// <param name="Sent">The octets.</param>
/// <param name="Verdict">What must come of them.</param>
internal sealed record SessionCase(string Row, string Name, Identity Who, Stage At, byte[] Sent, Verdict Verdict)
{
    internal byte Code { get; init; }

    /// <summary>The subcodes that are allowed.</summary>
    internal byte[] Subcodes { get; init; } = [];

    /// <summary>The data field in hexadecimal; null where the RFCs leave it open.</summary>
    internal string? Data { get; init; }

    /// <summary>With <see cref="Verdict.Lives"/> from OpenSent: the families of the session, seen by their End-of-RIB.</summary>
    internal string[] Families { get; init; } = ["4", "6"];

    public override string ToString() => $"{Row} {Name} in {At} from {Who.Name}";
}

/// <summary>Collects cases of one sort.</summary>
internal sealed class SessionCaseList
{
    internal static Stage[] Stages => [Stage.OpenSent, Stage.OpenConfirm, Stage.Established];

    internal List<SessionCase> Cases { get; } = [];

    internal void Notified(string row, string name, Identity who, Stage at, byte[] sent, byte code, byte[] subcodes, string? data) =>
        Cases.Add(new SessionCase(row, name, who, at, sent, Verdict.Notified) { Code = code, Subcodes = subcodes, Data = data });

    internal void Silent(string row, string name, Identity who, Stage at, byte[] sent) => Cases.Add(new SessionCase(row, name, who, at, sent, Verdict.Silent));

    internal void Lives(string row, string name, Identity who, Stage at, byte[] sent, params string[] families) =>
        Cases.Add(new SessionCase(row, name, who, at, sent, Verdict.Lives) { Families = families });
}
