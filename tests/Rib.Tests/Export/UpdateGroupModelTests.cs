namespace Rib.Tests.Export;

/// <summary>
/// Update groups against a naive model, under random events of every kind; a seed that fails replays. PIPIT_SEEDS says how many beside the default.
/// </summary>
[TestFixture]
public sealed class UpdateGroupModelTests
{
    // With 600 octets or so to a route, readers lag and walks wait from the first steps on.
    private static readonly GroupLimits s_tight = new() { Window = 2_000, Behind = 3_000, Log = 150_000, Walks = 2 };
    private static readonly GroupLimits s_medium = new() { Window = 6_000, Behind = 12_000, Log = 200_000, Walks = 3 };
    private static int s_detachments;

    private static int Seeds => int.TryParse(Environment.GetEnvironmentVariable("PIPIT_SEEDS"), out int set) ? set : Environment.GetEnvironmentVariable("PIPIT_LONG") is null ? 60 : 5000;

    private static IEnumerable<int> AllSeeds => Enumerable.Range(1, Seeds);

    [TestCaseSource(nameof(AllSeeds))]
    public void Every_neighbour_holds_what_the_model_says(int seed)
    {
        ExportWorld world = new(seed, (seed % 3) switch { 0 => s_tight, 1 => s_medium, _ => new GroupLimits() });
        for (world.Step = 0; world.Step < 600; world.Step++)
        {
            world.Act();
            world.CheckBounds();
            if (world.Step % 150 == 149)
            {
                world.Settle();
                world.CheckContent();
            }
        }

        world.CheckEnd();
        s_detachments += world.Detachments;
    }

    [TestCaseSource(nameof(AllSeeds))]
    public void Every_neighbour_holds_what_the_model_says_when_much_changes_at_once(int seed)
    {
        ExportWorld world = new(seed, (seed % 3) switch { 0 => s_tight, 1 => s_medium, _ => new GroupLimits() }, prefixes: 500) { TurnBudget = 700 };
        for (world.Step = 0; world.Step < 40; world.Step++)
        {
            world.ActInBulk();
            world.Act();
            world.CheckPending();
            if (world.Step % 10 == 9)
            {
                world.Settle();
                world.CheckContent();
            }
        }

        world.CheckEnd();
    }

    [OneTimeTearDown]
    public void The_seeds_reach_what_they_are_for()
    {
        if (TestContext.CurrentContext.Result.FailCount == 0 && TestContext.CurrentContext.Result.PassCount >= 60)
        {
            Assert.That(s_detachments, Is.GreaterThan(TestContext.CurrentContext.Result.PassCount), "members detached and brought back");
        }
    }
}
