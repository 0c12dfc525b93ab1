using System.Text.Json;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests.Reflector;

/// <summary>
/// Pipit reflects (cluster 0.0.0.1) between clients of three makes; the fourth make is a second reflector for the same clients, in the same cluster or in one of its own. What goes
/// over the wire is read by tshark.
/// </summary>
[TestFixture("bird", "0.0.0.2")]
[TestFixture("frr", "0.0.0.1")]
[TestFixture("gobgp", "0.0.0.2")]
[TestFixture("openbgpd", "0.0.0.1")]
public sealed class ReflectionTests(string second, string cluster)
{
    private Lab _lab = null!;
    private PipitNode _pipit = null!;
    private Router _reflector = null!;
    private Router[] _clients = [];
    private string _capture = "";

    [OneTimeSetUp]
    public void Start()
    {
        _lab = new Lab();
        string lan = _lab.Namespace("lan");
        Lab.Run("ip", "-n", lan, "link", "add", "br0", "type", "bridge");
        Lab.Run("ip", "-n", lan, "link", "set", "br0", "up");
        string ours = Plug(lan, "pipit", 1);
        Router[] all =
        [
            new BirdRouter(_lab, Plug(lan, "bird", 11), 11), new FrrRouter(_lab, Plug(lan, "frr", 12), 12),
            new GoBgpRouter(_lab, Plug(lan, "gobgp", 13), 13), new OpenBgpdRouter(_lab, Plug(lan, "openbgpd", 14), 14),
        ];
        _reflector = Array.Find(all, router => router.Name == second)!;
        _clients = Array.FindAll(all, router => router.Name != second);
        _pipit = new PipitNode(_lab, ours, "pipit", $$"""
            version: 1
            node: { name: rr1, asn: 64512, ipv4: 10.1.0.1 }
            kernel: { enabled: false }
            routeReflector: { clusterId: 0.0.0.1 }
            peerGroups:
              clients: { asn: 64512, routeReflectorClient: true, timers: { hold: 9s, connectRetry: 1s, idleHold: 1s } }
              rrs: { asn: 64512, timers: { hold: 9s, connectRetry: 1s, idleHold: 1s } }
            peers:
              - { name: rr2, address: {{_reflector.Address}}, group: rrs }
            {{string.Concat(_clients.Select(static client => $"  - {{ name: {client.Name}, address: {client.Address}, group: clients }}\n"))}}
            """);
        (_capture, Background tcpdump) = _lab.Capture(ours, "eth0", "tcp", "port", "179");
        _pipit.Start();
        string[] clients = [.. _clients.Select(static client => client.Address)];
        _reflector.Start(["10.1.0.1"], clients, cluster);
        foreach (Router client in _clients)
        {
            client.Start(["10.1.0.1", _reflector.Address], [], "");
        }

        _pipit.WaitEstablished(90);
        Assert.That(tcpdump.HasExited, Is.False);
    }

    [OneTimeTearDown]
    public void Stop() => _lab.Dispose();

    [Test]
    public void Routes_leave_with_the_originator_our_cluster_and_an_unchanged_next_hop_and_never_back()
    {
        foreach (Router client in _clients)
        {
            foreach (Router other in _clients.Where(other => other != client).Append(_reflector))
            {
                Lab.Eventually(() => client.Show(other.Own).Contains(other.Address, StringComparison.Ordinal), $"{client.Name} knows {other.Own}", 30, () => client.Show(other.Own) + _lab.Logs());
            }
        }

        List<string> faults = [];
        Lab.Eventually(
            () =>
            {
                faults = Judge(Wire());
                return faults.Count == 0;
            },
            "what is on the wire is right", 20, () => string.Join('\n', faults) + "\n" + string.Join('\n', Wire()));
    }

    [Test]
    public void The_other_reflectors_copy_is_a_loop_in_one_cluster_and_a_second_path_in_two()
    {
        if (cluster == "0.0.0.1")
        {
            List<Sent> looped = [];
            Lab.Eventually(() => (looped = FromReflector("0.0.0.1")).Count > 0, "the other reflector sends copies", 30, () => string.Join('\n', Wire()));
            Lab.Eventually(() => _pipit.Json("peer", "rr2").GetProperty("counters").GetProperty("loops").GetInt32() > 0, "loops are counted", 20, () => _pipit.Cli("peer", "rr2").Output);
            foreach (string prefix in looped.Select(static item => item.Prefix + "/24").Distinct())
            {
                Assert.That(
                    Paths(prefix).Where(static path => path.GetProperty("from").GetString() == "rr2").SelectMany(static path => path.GetProperty("clusterList").EnumerateArray()).Select(static item => item.GetString()),
                    Does.Not.Contain("0.0.0.1"), prefix);
            }
        }
        else
        {
            foreach (Router client in _clients)
            {
                Lab.Eventually(() => Paths(client.Own).Count == 2, $"two paths of {client.Own}", 20, () => _pipit.Cli("routes").Output + _lab.Logs());
                JsonElement copy = default;
                Sent? sent = null;

                // The capture lags behind the daemon, and the other reflector may send a route twice while its clients come up.
                Lab.Eventually(
                    () =>
                    {
                        copy = Paths(client.Own).Find(static path => path.GetProperty("from").GetString() == "rr2");
                        if (copy.ValueKind == JsonValueKind.Undefined)
                        {
                            return false;
                        }

                        sent = Wire().LastOrDefault(item => item.From == _reflector.Address && item.To == "10.1.0.1" && item.Prefix + "/24" == client.Own);
                        return (copy.GetProperty("originatorId").GetString() ?? "") == sent?.Originator
                            && string.Join(' ', copy.GetProperty("clusterList").EnumerateArray().Select(static item => item.GetString())) == sent.Clusters;
                    },
                    $"the copy of {client.Own} has what was sent last", 20, () => $"{copy}\n{sent}\n{string.Join('\n', Wire())}");
                Assert.Multiple(() =>
                {
                    Assert.That(copy.GetProperty("nextHop").GetString(), Is.EqualTo(client.Address));
                    Assert.That(sent!.Clusters.Length > 0 && copy.GetProperty("best").GetBoolean(), Is.False, "the shorter CLUSTER_LIST wins (RFC 4456 section 9)");
                });
            }
        }

        Lab.Eventually(() => Paths(_reflector.Own).Count > 0, "the second reflector announces its own route", 30, () => _pipit.Cli("routes").Output + _lab.Logs());
        Assert.That(Paths(_reflector.Own).Select(static path => path.GetProperty("from").GetString()), Is.EqualTo(new[] { "rr2" }));
    }

    [Test]
    public void An_anycast_prefix_keeps_all_its_next_hops_and_loses_the_one_that_is_withdrawn()
    {
        foreach (Router client in _clients.Where(static client => client.HasAddPath))
        {
            foreach (Router other in _clients.Where(other => other != client))
            {
                Lab.Eventually(() => FromUs(client, "10.99.0.0/24").Contains(other.Address), $"{client.Name} is sent the path through {other.Name}", 30, () => Text(client) + _pipit.Cli("explain", "10.99.0.0/24", "--to", client.Name).Output);
                Lab.Eventually(() => client.Show("10.99.0.0/24").Contains(other.Address, StringComparison.Ordinal), $"{client.Name} has the path through {other.Name}", 20, () => client.Show("10.99.0.0/24") + _lab.Logs());
            }
        }

        Router gone = _clients[^1];
        gone.WithdrawAnycast();
        foreach (Router client in _clients.Where(client => client.HasAddPath && client != gone))
        {
            Lab.Eventually(() => !client.Show("10.99.0.0/24").Contains(gone.Address, StringComparison.Ordinal), $"{client.Name} forgets the path through {gone.Name}", 30, () => client.Show("10.99.0.0/24") + _lab.Logs());
            foreach (Router other in _clients.Where(other => other != client && other != gone))
            {
                Assert.That(client.Show("10.99.0.0/24"), Does.Contain(other.Address), $"{client.Name} keeps the path through {other.Name}");
            }
        }
    }

    [Test]
    public void Explain_says_where_a_route_is_reflected_to_and_why_not()
    {
        // Until the client's own announcement is here, the second reflector's copy of it is the best path.
        Lab.Eventually(() => Paths(_clients[0].Own).Exists(path => path.GetProperty("from").GetString() == _clients[0].Name), $"{_clients[0].Name} announces its own route", 30, () => _pipit.Cli("routes").Output + _lab.Logs());
        string toClient = _pipit.Cli("explain", _clients[0].Own, "--to", _clients[1].Name).Output;
        Assert.That(toClient, Does.Contain($"reflected from client {_clients[0].Name}").And.Contain($"ORIGINATOR_ID {_clients[0].Address}").And.Contain("CLUSTER_LIST 0.0.0.1"), toClient);
        string back = _pipit.Cli("explain", _clients[0].Own, "--to", _clients[0].Name).Output;
        Assert.That(back, Does.Contain("not exported").And.Contain("came from that very peer"), back);
    }

    /// <summary>Copies of clients' routes that the second reflector sent us with a cluster in their list.</summary>
    private List<Sent> FromReflector(string with) => Wire().FindAll(item => item.From == _reflector.Address && item.To == "10.1.0.1" && item.Clusters.Split(' ').Contains(with));

    private string Plug(string lan, string name, int number)
    {
        string ns = _lab.Namespace(name);
        Lab.Run("ip", "-n", ns, "link", "add", "eth0", "type", "veth", "peer", "name", $"p{number}", "netns", lan);
        Lab.Address(ns, "eth0", $"10.1.0.{number}/24");
        Lab.Run("ip", "-n", ns, "link", "set", "eth0", "up");
        Lab.Run("ip", "-n", lan, "link", "set", $"p{number}", "master", "br0", "up");
        return ns;
    }

    private List<JsonElement> Paths(string prefix) => [.. _pipit.Json("routes", prefix).EnumerateArray()];

    private List<string> FromUs(Router client, string prefix) => [.. _pipit.Json("routes", prefix, "--to", client.Name).EnumerateArray().Select(static path => path.GetProperty("nextHop").GetString()!)];

    private string Text(Router client) => _pipit.Cli("routes", "10.99.0.0/24", "--to", client.Name).Output + _pipit.Cli("peer", client.Name).Output + _lab.Logs();

    private sealed record Sent(string From, string To, string Prefix, string NextHop, string LocalPref, string Originator, string Clusters);

    /// <summary>Every announcement on the wire with its attributes, as tshark reads them.</summary>
    private List<Sent> Wire()
    {
        string text = Lab.TryRun(
            "tshark", "-r", _capture, "-Y", "bgp.type == 2", "-T", "json", "--no-duplicate-keys", "-J", "ip bgp").Output;
        List<Sent> sent = [];
        if (text.Trim().Length == 0)
        {
            return sent;
        }

        foreach (JsonElement packet in JsonDocument.Parse(text).RootElement.EnumerateArray())
        {
            JsonElement layers = packet.GetProperty("_source").GetProperty("layers");
            string from = layers.GetProperty("ip").GetProperty("ip.src").GetString()!;
            string to = layers.GetProperty("ip").GetProperty("ip.dst").GetString()!;
            foreach (JsonElement message in Many(layers.GetProperty("bgp")).Where(static message => message.GetProperty("bgp.type").GetString() == "2"))
            {
                List<string> originators = Find(message, "bgp.update.path_attribute.originator_id");
                List<string> nextHops = Find(message, "bgp.update.path_attribute.next_hop");
                List<string> localPrefs = Find(message, "bgp.update.path_attribute.local_pref");
                List<string> clusters = Find(message, "bgp.path_attribute.cluster_id");
                if (nextHops.Count == 0)
                {
                    continue;
                }

                foreach (string nlri in Find(message, "bgp.nlri_prefix"))
                {
                    sent.Add(new Sent(from, to, nlri, nextHops[0], string.Concat(localPrefs), string.Concat(originators), string.Join(' ', clusters)));
                }
            }
        }

        return sent;
    }

    private static IEnumerable<JsonElement> Many(JsonElement element) => element.ValueKind == JsonValueKind.Array ? element.EnumerateArray() : [element];

    /// <summary>All values of a field, wherever it stands.</summary>
    private static List<string> Find(JsonElement element, string name)
    {
        List<string> found = [];
        Walk(element);
        return found;

        void Walk(JsonElement at)
        {
            if (at.ValueKind == JsonValueKind.Array)
            {
                foreach (JsonElement item in at.EnumerateArray())
                {
                    Walk(item);
                }
            }
            else if (at.ValueKind == JsonValueKind.Object)
            {
                foreach (JsonProperty property in at.EnumerateObject())
                {
                    if (property.Name == name)
                    {
                        found.AddRange(Many(property.Value).Select(static value => value.GetString()!));
                    }
                    else
                    {
                        Walk(property.Value);
                    }
                }
            }
        }
    }

    /// <summary>
    /// Whatever we sent must be the reflection of something that we were sent, by another than whom we sent it to (GoBGP and OpenBGPD leave ORIGINATOR_ID or CLUSTER_LIST out
    /// now and then); and each route must have gone to everybody else straight from its client.
    /// </summary>
    private List<string> Judge(List<Sent> wire)
    {
        List<string> faults = [];
        Sent[] received = [.. wire.Where(static item => item.To == "10.1.0.1")];
        Sent[] reflected = [.. wire.Where(static item => item.From == "10.1.0.1")];
        faults.AddRange(reflected
            .Where(item => !Array.Exists(received, source => source.From != item.To && Reflection(source) == (item with { From = "", To = "" })))
            .Select(static item => $"not what was received: {item}"));
        foreach (Router source in _clients.Append(_reflector))
        {
            foreach (Router target in _clients.Append(_reflector).Where(target => target != source))
            {
                if (!Array.Exists(reflected, item => item.To == target.Address && item.Prefix + "/24" == source.Own && item.Originator == source.Address && item.Clusters == "0.0.0.1" && item.NextHop == source.Address))
                {
                    faults.Add($"{source.Name}'s route was not sent to {target.Name}");
                }
            }
        }

        return faults;
    }

    /// <summary>RFC 4456 section 8: the originator if none is named, our cluster before the others, and nothing else changed.</summary>
    private static Sent Reflection(Sent source) => source with
    {
        From = "",
        To = "",
        Originator = source.Originator.Length > 0 ? source.Originator : source.From,
        Clusters = source.Clusters.Length > 0 ? "0.0.0.1 " + source.Clusters : "0.0.0.1",
    };
}
