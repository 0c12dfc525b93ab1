namespace Bgp.Interop.Tests.Conformance;

/// <summary>What must become of a prefix that was announced before, after the message of a case.</summary>
internal enum Outcome
{
    /// <summary>The route of the case's message is there, and the session.</summary>
    Kept,

    /// <summary>No route is there, the earlier one neither; the session is.</summary>
    Withdrawn,

    /// <summary>The earlier route is there: the message was not about it.</summary>
    Unchanged,

    /// <summary>The RFCs leave open what becomes of the route, but the session must stay.</summary>
    Survives,

    /// <summary>NOTIFICATION, and nothing of the session's routes is left.</summary>
    Reset,
}

/// <summary>One message that is malformed or borderline, and what must come of it.</summary>
/// <param name="Row">RFC and section.</param>
/// <param name="Name">What is wrong with it.</param>
/// <param name="Who">The neighbour that sends it.</param>
/// <param name="Make">The messages, from a sound set of attributes.</param>
/// <param name="Outcome">What must come of it.</param>
internal sealed record UpdateCase(string Row, string Name, Identity Who, Func<RouteSet, byte[][]> Make, Outcome Outcome)
{
    internal const string V4 = "198.51.100.0/24";
    internal const string V6 = "2001:db8:51::/48";

    /// <summary>With <see cref="Outcome.Reset"/>: code and the subcodes that the RFCs allow.</summary>
    internal byte Code { get; init; } = 3;

    internal byte[] Subcodes { get; init; } = [];

    /// <summary>The prefixes whose fate is judged.</summary>
    internal string[] Targets { get; init; } = [V4];

    /// <summary>With <see cref="Outcome.Withdrawn"/>: outside the AS it may well be there.</summary>
    internal bool InsideOnly { get; init; }

    /// <summary>With <see cref="Outcome.Kept"/>: more to be seen by the client, and from outside the AS.</summary>
    internal Action<Route, Route>? Check { get; init; }

    public override string ToString() => $"{Row} {Name} from {Who.Name}";
}

/// <summary>Collects cases: one for each sort of neighbour.</summary>
internal sealed class CaseList
{
    internal static Identity[] All => [Dut.External, Dut.Internal, Dut.Client];

    internal static Identity[] Inside => [Dut.Internal, Dut.Client];

    internal static Identity[] Outside => [Dut.External];

    internal static Identity[] TwoOctets => [Dut.ExternalAs2, Dut.InternalAs2];

    internal List<UpdateCase> Cases { get; } = [];

    /// <summary>An announcement of <see cref="UpdateCase.V4"/> with attributes that <paramref name="spoil"/> changed.</summary>
    internal void Attributes(string row, string name, Identity[] from, Func<RouteSet, RouteSet> spoil, Outcome outcome, Action<Route, Route>? check = null, params byte[] subcodes)
    {
        foreach (Identity who in from)
        {
            Cases.Add(new UpdateCase(row, name, who, set => [spoil(set).Announce(UpdateCase.V4)], outcome) { Check = check, Subcodes = subcodes });
        }
    }

    /// <summary>The same where an internal attribute is concerned: discarded from outside, whatever it holds.</summary>
    internal void Internal(string row, string name, Func<RouteSet, RouteSet> spoil, byte code)
    {
        Attributes(row, name, Inside, spoil, Outcome.Withdrawn);
        Attributes(row, name, Outside, spoil, Outcome.Kept, (client, _) =>
        {
            if (code == 5)
            {
                Assert.That(client[5], Is.EqualTo("00000064"), "LOCAL_PREF from outside is not to be used");
            }
            else
            {
                Assert.That(client.Has(code), Is.False, $"attribute {code} from outside is passed on");
            }
        });
    }

    /// <summary>Whole messages.</summary>
    internal void Messages(string row, string name, Identity[] from, Func<RouteSet, byte[][]> make, Outcome outcome, string[]? targets = null, byte code = 3, byte[]? subcodes = null, Action<Route, Route>? check = null)
    {
        foreach (Identity who in from)
        {
            Cases.Add(new UpdateCase(row, name, who, make, outcome) { Targets = targets ?? [UpdateCase.V4], Code = code, Subcodes = subcodes ?? [], Check = check });
        }
    }
}
