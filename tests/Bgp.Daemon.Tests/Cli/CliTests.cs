using System.Text.Json;
using Bgp.Daemon.Cli;
using Bgp.Daemon.Control;
using Bgp.Daemon.Tests.Config;
using Bgp.Daemon.Tests.Control;

namespace Bgp.Daemon.Tests.Cli;

[TestFixture]
public sealed class CliTests
{
    private ServerFixture _fixture = null!;

    [SetUp]
    public void Start() => _fixture = new ServerFixture();

    [TearDown]
    public void Stop() => _fixture.Dispose();

    private (int Code, string Out, string Error) Run(params string[] args)
    {
        using StringWriter output = new();
        using StringWriter error = new();
        int code = CliApp.Run([.. args, "--socket", _fixture.Path], output, error, isTerminal: false);
        return (code, output.ToString(), error.ToString());
    }

    [Test]
    public void Peers_is_an_aligned_table_that_cuts_nothing_and_has_no_escape()
    {
        (int code, string text, _) = Run("peers");
        Assert.That(code, Is.Zero);
        Assert.That(text, Is.EqualTo(
            "PEER  ADDRESS                                 AS     STATE        UPTIME  V4 RX/ACC/TX  V6 RX/ACC/TX  LAST ERROR\n"
            + "rr1   10.0.0.250                              64512  Established  3d04h   4/4/3         -             -\n"
            + "tor1  2001:db8:1234:5678:9abc:def0:1234:5678  65001  Active       9s      -             -             connect: no route to host?[31m\n"));
    }

    [Test]
    public void Peers_down_leaves_the_established_out() => Assert.That(Run("peers", "--down", "--no-headers").Out, Does.StartWith("tor1 ").And.Not.Contain("rr1"));

    [Test]
    public void Peers_in_json_is_an_array_in_the_shape_of_the_contract()
    {
        using JsonDocument json = JsonDocument.Parse(Run("peers", "-o", "json").Out);
        JsonElement peer = json.RootElement[0];
        Assert.That(peer.GetProperty("families").GetProperty("ipv4").GetRawText(), Is.EqualTo("{\"received\":4,\"accepted\":4,\"advertised\":3}"));
        Assert.That(peer.EnumerateObject().Take(7).Select(p => p.Name), Is.EqualTo(new[] { "name", "address", "asn", "state", "uptimeSeconds", "families", "lastError" }));
    }

    [Test]
    public void A_table_dump_is_written_whole_or_not_at_all()
    {
        string file = Path.Combine(Path.GetTempPath(), $"pipit-{Guid.NewGuid():N}.mrt");
        try
        {
            Assert.That(Run("dump", "mrt", file).Out, Is.EqualTo($"{file}: 3 octets\n"));
            Assert.That(File.ReadAllBytes(file), Is.EqualTo(new byte[] { 1, 2, 3 }));
            Assert.That(File.Exists(file + ".part"), Is.False);
        }
        finally
        {
            File.Delete(file);
        }

        (int code, _, string error) = Run("dump", "mrt", "/nonexistent/table.mrt");
        Assert.That(code, Is.EqualTo(ExitCode.Negative));
        Assert.That(error, Does.Contain("cannot write /nonexistent/table.mrt"));
    }

    [Test]
    public void Top_wants_a_terminal_and_says_what_to_use_instead() => Assert.That(Run("top"), Is.EqualTo((
        ExitCode.Usage, "", "pipit: top needs a terminal; for scripts: 'pipit peers -w -o jsonl' or 'pipit events -f -o jsonl'\n")));

    [Test]
    public void Routes_is_a_table_with_marks() => Assert.That(Run("routes").Out, Is.EqualTo(
        "    PREFIX         NEXTHOP   DEV  FROM  LP   MED  AS-PATH      ORIGIN  REJECTED BY\n"
        + "*>  10.244.0.0/26  10.0.0.2  -    rr1   100  -    65001 {1 2}  igp     -\n"
        + "*   10.244.1.0/26  10.0.0.2  -    rr1   100  -    65001 {1 2}  igp     -\n"));

    [Test]
    public void Yaml_is_read_back_as_what_json_says() =>
        Assert.That(Run("fib", "-o", "yaml").Out, Is.EqualTo("- prefix: \"10.244.0.0/26\"\n  state: \"failed\"\n  wanted: \"via 10.0.0.2\"\n  kernel: null\n  lastError: \"ENETUNREACH\"\n"));

    [TestCase(0, "status")]
    [TestCase(0, "peer", "rr1")]
    [TestCase(0, "peer", "rr1", "refresh", "in")]
    [TestCase(0, "routes", "--count")]
    [TestCase(0, "explain", "10.244.0.0/26", "--to", "rr1")]
    [TestCase(0, "reload", "--confirm", "60s")]
    [TestCase(0, "confirm")]
    [TestCase(0, "diff")]
    [TestCase(0, "memory")]
    [TestCase(0, "version")]
    [TestCase(0, "events", "-f")]
    [TestCase(0, "completion", "bash")]
    [TestCase(0, "show", "protocols", "all")]
    [TestCase(0, "show", "route", "for", "10.244.0.1")]
    [TestCase(0, "show", "route", "protocol", "rr1", "count")]
    [TestCase(0, "configure")]
    [TestCase(0, "--help")]
    [TestCase(1, "peer", "rr")]
    [TestCase(1, "peer", "rr1", "enable")]
    [TestCase(1, "routes", "--from", "tor2")]
    [TestCase(1, "explain", "9.9.9.0/24")]
    [TestCase(1, "reload", "--dry-run")]
    [TestCase(1, "rollback")]
    [TestCase(1, "check", "/nonexistent")]
    [TestCase(2, "peerz")]
    [TestCase(2, "peers", "--dwon")]
    [TestCase(2, "peer", "rr1", "restrat")]
    [TestCase(2, "peer", "rr1", "refresh", "inn")]
    [TestCase(2, "peer")]
    [TestCase(2, "routes", "10.0.0.1/24")]
    [TestCase(2, "routes", "--family", "5")]
    [TestCase(2, "-o", "jsn", "peers")]
    [TestCase(2, "wait", "peers-established", "--timeout", "30")]
    [TestCase(2, "wait", "peers-establishd")]
    [TestCase(2, "show", "protocls")]
    [TestCase(2, "wait")]
    [TestCase(5, "wait", "peers-established", "--timeout", "10ms")]
    public void Exit_code(int expected, params string[] args)
    {
        (int code, _, string error) = Run(args);
        Assert.That(code, Is.EqualTo(expected), error);
        Assert.That(error.Length > 0, Is.EqualTo(expected != 0), error);
    }

    [TestCase("no peer 'rr'; did you mean 'rr1'?", "peer", "rr")]
    [TestCase("unknown verb 'peers' for 'pipit wait'; did you mean 'peers-established'?", "wait", "peers")]
    [TestCase("unknown word 'proto' after 'show route'; did you mean 'protocol'?", "show", "route", "proto", "rr1")]
    [TestCase("'pipit dump mrt' needs FILE", "dump", "mrt")]
    [TestCase("Try 'pipit dump mrt --help'.", "dump", "mrt")]
    [TestCase("'pipit dump' needs a verb: mrt", "dump")]
    [TestCase("'pipit explain' needs PREFIX", "explain")]
    [TestCase("unknown verb 'peerz'; did you mean 'peers'?", "peerz")]
    [TestCase("unknown option '--dwon' for 'pipit peers'; did you mean '--down'?", "peers", "--dwon")]
    [TestCase("unknown action 'restrat'; did you mean 'restart'?", "peer", "rr1", "restrat")]
    [TestCase("did you mean '10.0.0.0/24'?", "routes", "10.0.0.1/24")]
    [TestCase("did you mean 'protocols'?", "show", "protocls")]
    [TestCase("did you mean 'peers-established'?", "wait", "peers-establishd")]
    public void A_wrong_word_has_a_suggestion(string expected, params string[] args) => Assert.That(Run(args).Error, Does.Contain(expected));

    [Test]
    public void A_peer_may_be_named_by_its_address()
    {
        Assert.That(Run("peer", "10.0.0.250").Out, Is.EqualTo(Run("peer", "rr1").Out));
        Assert.That(Run("peer", "10.0.0.250", "restart", "--reason", "by address").Code, Is.Zero);
        Assert.That(Run("peer", "10.0.0.252").Error, Does.Contain("10.0.0.252 is the address of 2 peers; give a name: rr1, tor1"));
        Assert.That(Run("peer", "10.0.0.252", "restart").Code, Is.EqualTo(1));
        Assert.That(_fixture.Queries.Commands, Is.EqualTo(new[] { "rr1 Restart by address" }));
        Assert.That(Run("peer", "10.0.0.251").Error, Does.Contain("no peer '10.0.0.251'"));
    }

    [Test]
    public void An_absent_daemon_is_exit_code_3()
    {
        _fixture.Dispose();
        Assert.That(Run("status"), Is.EqualTo((3, "", $"pipit: cannot reach the daemon on {_fixture.Path}: no socket there; is 'pipit run' running?\n")));
    }

    [TestCase("0s")]
    [TestCase("1d")]
    [TestCase("48h")]
    public void A_time_to_confirm_in_that_cannot_be_kept_is_refused_and_not_left_out(string time)
    {
        (int code, _, string error) = Run("reload", "--confirm", time);
        Assert.That(code, Is.EqualTo(ExitCode.Usage));
        Assert.That(error, Does.Contain($"--confirm: '{time}'"));
        using ControlClient client = new(_fixture.Path);
        Assert.That(() => client.Ask(new RequestDto { Verb = "reload", Seconds = 86400 }).ToArray(), Throws.TypeOf<ControlException>().With.Property("Code").EqualTo(2));
    }

    [Test]
    public void A_table_dump_into_a_device_does_not_replace_it()
    {
        // By links, which a dump that replaces what it finds would take in the device's place.
        string folder = Directory.CreateTempSubdirectory("pipit-").FullName;
        try
        {
            foreach ((string device, int expected) in ((string, int)[])[("/dev/null", ExitCode.Ok), ("/dev/full", ExitCode.Negative)])
            {
                string link = Path.Combine(folder, Path.GetFileName(device));
                File.CreateSymbolicLink(link, device);
                Assert.That(Run("dump", "mrt", link).Code, Is.EqualTo(expected), device);
                Assert.That(new FileInfo(link).LinkTarget, Is.EqualTo(device));
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Test]
    public void Output_that_cannot_be_written_is_no_success()
    {
        using StreamWriter full = new(new FileStream("/dev/full", FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0));
        using StringWriter error = new();
        Assert.That(CliApp.Run(["peers", "--socket", _fixture.Path], full, error, isTerminal: false), Is.EqualTo(ExitCode.Negative));
        Assert.That(error.ToString(), Does.StartWith("pipit: cannot write the output: "));
    }

    [Test]
    public void Check_reports_on_stderr_and_says_no_with_exit_code_1()
    {
        Assert.That(Run("check", ExampleTests.Conf("node-full-mesh.yaml")).Code, Is.Zero);
        string bad = Path.GetTempFileName();
        File.WriteAllText(bad, "version: 1\nnod: 1\n");
        (int code, string text, string error) = Run("check", bad);
        File.Delete(bad);
        Assert.That((code, text), Is.EqualTo((1, "")));
        Assert.That(error, Is.EqualTo($"{bad}:1:1: error: the file: 'node' is missing\n{bad}:2:1: error: unknown key 'nod' in the file; did you mean 'node'?\n"));
    }

    [Test]
    public void A_letter_that_is_no_option_gets_no_guess() => Assert.That(Run("-v").Error, Does.Contain("unknown option '-v'\n"));

    [Test]
    public void Version_is_a_verb_and_an_option() => Assert.That(Run("--version"), Is.EqualTo(Run("version")));

    [Test]
    public void Check_answers_programs_in_json_too()
    {
        string bad = Path.GetTempFileName();
        File.WriteAllText(bad, "version: 2\nnode: { name: a, asn: 1, ipv4: 10.0.0.1 }\n");
        (int code, string text, _) = Run("check", bad, "-o", "json");
        File.Delete(bad);
        ReloadDto outcome = JsonSerializer.Deserialize(text, ControlJson.Default.ReloadDto)!;
        Assert.That((code, outcome.Accepted, outcome.ConfigHash), Is.EqualTo((1, false, (string?)null)));
        Assert.That(outcome.Errors, Is.EqualTo(new[] { $"{bad}:1:10: error: version: '2' is not supported; this program understands 1" }));
    }

    [Test]
    public void A_wait_that_ends_says_for_whom() =>
        Assert.That(
            Run("wait", "peers-established", "--timeout", "10ms"),
            Is.EqualTo((5, "", "pipit: timeout: not established: tor1 (active: connect: no route to host?[31m)\n")));

    [Test]
    public void Yaml_shows_text_as_it_is()
    {
        StringWriter text = new();
        new CliOutput(text, TextWriter.Null, false) { Format = "yaml" }.Single("{\"reason\":\"the kernel\\u0027s own \\u0022route\\u0022\\u001b\"}");
        Assert.That(text.ToString(), Is.EqualTo("reason: \"the kernel's own \\\"route\\\"\\u001B\"\n"));
    }

    [Test]
    public void Counters_have_names_for_people() => Assert.That(CliOutput.Title("updatesReceived"), Is.EqualTo("Updates received"));

    [TestCase("pipit pe", "peer peers")]
    [TestCase("pipit peer ", "rr1 tor1 disable enable refresh restart")]
    [TestCase("pipit routes --from t", "tor1")]
    [TestCase("pipit routes --fam", "--family")]
    [TestCase("pipit peers -o js", "json jsonl")]
    [TestCase("pipit show pro", "protocols")]
    [TestCase("pipit completion ", "bash fish zsh")]
    public void A_shell_is_told_what_may_come_next(string line, string expected)
    {
        (int code, string text, _) = Run("__complete", line.Insert("pipit".Length, $" --socket {_fixture.Path}"));
        Assert.That(code, Is.Zero);
        Assert.That(text.Split(['\n', ' '], StringSplitOptions.RemoveEmptyEntries), Is.SupersetOf(expected.Split(' ')));
    }

    [TestCase("bash")]
    [TestCase("zsh")]
    [TestCase("fish")]
    public void A_completion_script_asks_the_program(string shell) => Assert.That(Run("completion", shell).Out, Does.Contain("pipit").And.Contain(" __complete ").And.EndWith("\n"));

    [Test]
    public void An_action_carries_its_reason()
    {
        Run("peer", "rr1", "disable", "--reason", "maintenance");
        Assert.That(_fixture.Queries.Commands, Is.EqualTo(new[] { "rr1 Disable maintenance" }));
    }
}
