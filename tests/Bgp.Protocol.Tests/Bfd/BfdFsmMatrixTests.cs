namespace Bgp.Protocol.Tests.Bfd;

/// <summary>The complete matrix of RFC 5880 section 6.8.6: every state with every event. A pair that is not in the table, or that behaves otherwise, fails.</summary>
[TestFixture]
public sealed class BfdFsmMatrixTests
{
    private const string Matrix = """
        AdminDown ReceivedAdminDown: AdminDown
        AdminDown ReceivedDown: AdminDown
        AdminDown ReceivedInit: AdminDown
        AdminDown ReceivedUp: AdminDown
        AdminDown DetectionExpired: AdminDown
        AdminDown Disable: AdminDown
        AdminDown Enable: Down, None
        Down ReceivedAdminDown: Down
        Down ReceivedDown: Init
        Down ReceivedInit: Up
        Down ReceivedUp: Down
        Down DetectionExpired: Down
        Down Disable: AdminDown, AdministrativelyDown
        Down Enable: Down
        Init ReceivedAdminDown: Down, NeighborSignaledDown
        Init ReceivedDown: Init
        Init ReceivedInit: Up
        Init ReceivedUp: Up
        Init DetectionExpired: Down, DetectionTimeExpired
        Init Disable: AdminDown, AdministrativelyDown
        Init Enable: Init
        Up ReceivedAdminDown: Down, NeighborSignaledDown
        Up ReceivedDown: Down, NeighborSignaledDown
        Up ReceivedInit: Up
        Up ReceivedUp: Up
        Up DetectionExpired: Down, DetectionTimeExpired
        Up Disable: AdminDown, AdministrativelyDown
        Up Enable: Up
        """;

    private const BfdDiagnostic Kept = BfdDiagnostic.PathDown;

    private static Dictionary<string, string> Table { get; } = Matrix
        .Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
        .ToDictionary(static line => line[..line.IndexOf(':', StringComparison.Ordinal)], static line => line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim(), StringComparer.Ordinal);

    public static IEnumerable<TestCaseData> Pairs =>
        from state in Enum.GetValues<BfdState>()
        from e in Enum.GetValues<BfdEvent>()
        select new TestCaseData(state, e).SetArgDisplayNames(state.ToString(), e.ToString());

    [TestCaseSource(nameof(Pairs))]
    public void Every_state_answers_every_event_as_the_table_says(BfdState state, BfdEvent e)
    {
        Assert.That(Table, Does.ContainKey($"{state} {e}"), "a pair that the table does not list");
        (BfdState next, BfdDiagnostic diagnostic) = BfdFsm.Next(state, e, Kept);
        Assert.That(diagnostic == Kept ? $"{next}" : $"{next}, {diagnostic}", Is.EqualTo(Table[$"{state} {e}"]));
    }

    [Test]
    public void The_table_lists_each_pair_once_and_nothing_else() =>
        Assert.That(Table, Has.Count.EqualTo(Enum.GetValues<BfdState>().Length * Enum.GetValues<BfdEvent>().Length));
}
