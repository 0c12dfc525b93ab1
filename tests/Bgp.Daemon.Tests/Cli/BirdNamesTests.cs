using System.Net.Sockets;
using System.Text;
using Bgp.Daemon.Cli;

namespace Bgp.Daemon.Tests.Cli;

/// <summary>The command lines of BIRD's programs.</summary>
[TestFixture]
public sealed class BirdNamesTests
{
    [TestCase("sh pro a Mesh_1", "show protocols all Mesh_1")]
    [TestCase("show stat", "show stat")]
    [TestCase("show statu", "show status")]
    [TestCase("sh rou for 10.0.0.1 a", "show route for 10.0.0.1 all")]
    [TestCase("sh route prot all exp cou", "show route protocol all export cou")]
    [TestCase("show route where net.type = NET_IP4 al", "show route where net.type = NET_IP4 al")]
    [TestCase("conf ch", "configure check")]
    [TestCase("rel in Mesh_1", "reload in Mesh_1")]
    [TestCase("dis all", "disable all")]
    [TestCase("nonsense all", "nonsense all")]
    [TestCase("", "")]
    public void Shortened_words_are_written_out_and_names_are_left(string typed, string sent) => Assert.That(BirdClient.Expand(typed), Is.EqualTo(sent));

    [Test]
    public void Nobody_on_the_socket_is_exit_code_1()
    {
        using StringWriter output = new();
        using StringWriter error = new();
        Assert.That(BirdClient.Run("birdc", ["-s", "/nonexistent/bird.ctl", "show", "status"], TextReader.Null, output, error, false), Is.EqualTo(1));
        Assert.That(error.ToString(), Does.StartWith("Unable to connect to server control socket (/nonexistent/bird.ctl)"));
    }

    [TestCase("0000 \n", 0)]
    [TestCase("8001 Network not in table\n", 1)]
    [TestCase("", 1)]
    public void The_exit_code_follows_the_last_reply_code(string answer, int code)
    {
        string path = Path.Combine(Path.GetTempPath(), $"pipit-birdc-{Guid.NewGuid():N}.ctl");
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        Thread server = new(() =>
        {
            using Socket client = listener.Accept();
            client.Send("0001 BIRD 9 ready.\n"u8);
            client.Receive(new byte[100]);
            client.Send(Encoding.ASCII.GetBytes(answer));
        });
        server.Start();
        using StringWriter output = new();
        using StringWriter error = new();
        Assert.That(BirdClient.Run("birdc", ["-s" + path, "x"], TextReader.Null, output, error, false), Is.EqualTo(code));
        server.Join();
        File.Delete(path);
        Assert.That(output.ToString(), Does.StartWith("BIRD 9 ready.\n"));
    }

    [TestCase("-c")]
    [TestCase("file.cfg")]
    [TestCase("-dX")]
    [TestCase("-s a -s b -s c -d")]
    public void A_wrong_command_line_is_refused_with_its_usage(string words)
    {
        using StringWriter output = new();
        using StringWriter error = new();
        Assert.That(BirdPersonality.Run("bird", words.Split(' '), output, error, static _ => throw new InvalidOperationException("must not start")), Is.EqualTo(1));
        Assert.That(error.ToString(), Does.StartWith("Usage: bird "));
    }

    [TestCase("-c x.cfg -s y.ctl", "stays in the foreground")]
    [TestCase("-dc x.cfg -u nobody-else", "-u nobody-else")]
    [TestCase("-d -P /nonexistent/dir/pid", "cannot write /nonexistent/dir/pid")]
    public void What_cannot_be_done_is_said_before_anything_starts(string words, string said)
    {
        using StringWriter output = new();
        using StringWriter error = new();
        Assert.That(BirdPersonality.Run("bird", words.Split(' '), output, error, static _ => throw new InvalidOperationException("must not start")), Is.EqualTo(1));
        Assert.That(error.ToString(), Does.Contain(said));
    }

    [Test]
    public void Two_sockets_make_one_process_of_both_files()
    {
        string corpus = Path.Combine(TestContext.CurrentContext.TestDirectory, "corpus", "mesh", "bird.cfg");
        RunOptions? started = null;
        int code = BirdPersonality.Run("bird", ["-R", "-s", "/run/a.ctl", "-s/run/b.ctl", "-dc", corpus], TextWriter.Null, TextWriter.Null, options =>
        {
            started = options;
            return Task.FromResult(7);
        });
        Assert.That(code, Is.EqualTo(7));
        Bgp.Daemon.Config.ConfigModel model = started!.Load(started.ConfigPath).Model!;
        Assert.Multiple(() =>
        {
            Assert.That(model.BirdCompat.Select(static socket => (socket.Path, socket.Dialect, socket.Family)), Is.EqualTo(new[] { ("/run/a.ctl", 1, 4), ("/run/b.ctl", 1, 6) }));
            Assert.That(model.Peers, Has.Count.EqualTo(3));
            Assert.That(model.Kernel.Families, Is.EqualTo(new[] { "ipv4", "ipv6" }));
        });
    }

    [TestCase("mesh", 0)]
    [TestCase("wrong", 1)]
    public void Checking_tells_every_error_and_starts_nothing(string scenario, int code)
    {
        using StringWriter error = new();
        string file = Path.Combine(TestContext.CurrentContext.TestDirectory, "corpus", scenario, "bird.cfg");
        Assert.That(BirdPersonality.Run("bird", ["-p", "-c", file], TextWriter.Null, error, static _ => throw new InvalidOperationException("must not start")), Is.EqualTo(code));
        Assert.That(error.ToString().Contains("error:", StringComparison.Ordinal), Is.EqualTo(code == 1), error.ToString());
    }
}
