using System.Net.Sockets;
using Bgp.Daemon.Cli;
using Bgp.Daemon.Control;

namespace Bgp.Daemon.Tests.Control;

/// <summary>A daemon that was stopped by a signal, or hangs: the kernel accepts connections in its name, and nothing more comes.</summary>
[TestFixture]
public sealed class SilentDaemonTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(150);
    private string _folder = "";
    private string _path = "";
    private Socket _listener = null!;

    [SetUp]
    public void Listen()
    {
        _folder = Directory.CreateTempSubdirectory("pipit-silent-").FullName;
        _path = Path.Combine(_folder, "s");
        _listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        _listener.Bind(new UnixDomainSocketEndPoint(_path));
        _listener.Listen(8);
    }

    [TearDown]
    public void Clean()
    {
        _listener.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [TestCase("status")]
    [TestCase("wait")]
    public void A_question_that_nobody_answers_ends_with_a_timeout(string verb)
    {
        using ControlClient client = new(_path, s_patience);
        ControlException failure = Assert.Throws<ControlException>(() => client.Ask(new RequestDto { Verb = verb, Seconds = 0.1 }).ToList())!;
        Assert.That(failure.Code, Is.EqualTo(ExitCode.Timeout));
        Assert.That(failure.Message, Does.Contain("said nothing for " + (verb == "wait" ? "0.25" : "0.15") + " s"));
    }

    [Test]
    public void So_does_one_whose_answer_stops_in_the_middle()
    {
        using ControlClient client = new(_path, s_patience);
        using Socket server = _listener.Accept();
        server.Send("{\"ok\":true}\n{\"a\":1}\n{\"a\""u8);
        List<string> items = [];
        ControlException failure = Assert.Throws<ControlException>(() =>
        {
            foreach (string item in client.Ask(new RequestDto { Verb = "routes" }))
            {
                items.Add(item);
            }
        })!;
        Assert.That(failure.Code, Is.EqualTo(ExitCode.Timeout));
        Assert.That(items, Is.EqualTo(new[] { "{\"a\":1}" }));
    }

    [Test]
    public void A_socket_whose_queue_is_full_is_not_waited_for()
    {
        List<Socket> waiting = [];
        try
        {
            while (true)
            {
                Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { Blocking = false };
                waiting.Add(socket);
                socket.Connect(new UnixDomainSocketEndPoint(_path));
            }
        }
        catch (SocketException)
        {
            // The queue is full now.
        }

        try
        {
            Assert.That(Assert.Throws<ControlException>(() => new ControlClient(_path, s_patience).Dispose())!.Code, Is.EqualTo(ExitCode.Unreachable));
        }
        finally
        {
            waiting.ForEach(static socket => socket.Dispose());
        }
    }

    [Test]
    public void Birdc_says_so_too()
    {
        StringWriter error = new();
        Assert.That(BirdClient.Run("birdc", ["-s", _path, "show", "status"], TextReader.Null, TextWriter.Null, error, isTerminal: false, s_patience), Is.EqualTo(1));
        Assert.That(error.ToString(), Does.Contain("said nothing for 0.15 s"));
    }
}
