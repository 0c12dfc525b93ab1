using System.Globalization;
using Bgp.Daemon.Config;
using Bgp.Daemon.Import;
using Bgp.Protocol;
using Rib;
using Cidr = Bgp.Daemon.Config.Cidr;
using MetricMode = Bgp.Daemon.Config.KernelMetricMode;

namespace Bgp.Daemon.Tests.Import;

/// <summary>
/// Equal, not look-alike: an interpreter that runs BIRD's filter code statement by statement on one route is compared with the imported filters, for
/// routes of every kind in and around every prefix that the code names.
/// </summary>
[TestFixture]
public sealed class EquivalenceTests
{
    [TestCase("mesh", "bird.cfg")]
    [TestCase("mesh", "bird6.cfg")]
    [TestCase("tunnels", "bird.cfg")]
    [TestCase("reflector", "bird.cfg")]
    [TestCase("tor", "bird.cfg")]
    [TestCase("before332", "bird.cfg")]
    [TestCase("operations", "bird.cfg")]
    [TestCase("ports", "bird.cfg")]
    [TestCase("priorities", "bird.cfg")]
    [TestCase("priorities", "bird6.cfg")]
    public void Imported_filters_decide_and_change_as_the_code_does(string scenario, string file)
    {
        string path = ImportTests.Corpus(scenario, file);
        BirdFile parsed = BirdParser.Load(path, new IssueSink());
        ConfigModel model = ConfigReader.Parse(BirdImport.Run([path], new BirdImportOptions { NodeName = "n" }).Yaml!, "x.yaml").Model!;
        ConfigMapping mapping = new(model);
        bool six = file.Contains('6', StringComparison.Ordinal);
        int compared = 0;
        int accepted = 0;
        foreach (PeerConfig peer in model.Peers)
        {
            global::Bgp.Daemon.Peers.PolicySet policies = mapping.Peer(peer).Policies;
            RibPeer target = Neighbour(1, peer.IsIbgp ? PeerKind.Ebgp : PeerKind.Ibgp, 65009);
            foreach (Route route in Routes(six, Names(parsed)))
            {
                foreach (bool import in new[] { true, false })
                {
                    if (import && route.Source != RouteSource.Bgp)
                    {
                        continue;
                    }

                    BirdOption option = parsed.Protocols.Single(block => block.Name == peer.Name).Options.Single(item => item.Begins(import ? "import" : "export"));
                    (bool accept, Route after) = new Machine(parsed, import, model.Kernel.MetricMode == MetricMode.LocalPref, import || peer.IsIbgp ? [] : [peer.LocalAsn]).Run(option, route);
                    PolicyContext context = new(target, Neighbour(2, peer.IsIbgp ? PeerKind.Ibgp : PeerKind.Ebgp, peer.Asn));
                    PolicyResult result = six
                        ? (import ? policies.ImportV6 : policies.ExportV6).Evaluate(route.Net.ToIpv6(), Attributes(route), context)
                        : (import ? policies.ImportV4 : policies.ExportV4).Evaluate(route.Net.ToIpv4(), Attributes(route), context);
                    string what = $"{peer.Name} {(import ? "import" : "export")} {route}";
                    Assert.That(result.Accept, Is.EqualTo(accept), what + ": " + result.Rule);
                    compared++;
                    accepted += accept ? 1 : 0;
                    if (accept)
                    {
                        Assert.That(Changes(result.Edit), Is.EqualTo(Changes(route, after)), what + ": " + result.Rule);
                        if (import && (peer.IsIbgp || route.LocalPref == RankKey.DefaultLocalPref))
                        {
                            // An external neighbour's LOCAL_PREF never gets here.
                            uint normal = ConfigMapping.NormalMetric(model, six);
                            long preference = result.Edit?.Preference ?? ((result.Edit?.LocalPref ?? route.LocalPref) > RankKey.ElevatedAbove(normal) ? 200 : 100);
                            Assert.That(preference, Is.EqualTo(after.Preference), what + ": " + result.Rule);
                        }
                    }
                }
            }
        }

        Assert.That(accepted, Is.GreaterThan(10));
        Assert.That(compared - accepted, Is.GreaterThan(10));
    }

    /// <summary>A route as a filter of BIRD sees it.</summary>
    private sealed record Route(RouteSource Source, Cidr Net, string Interface, uint Metric, uint LocalPref, ConfigList<uint> Path, bool Community, bool Large)
    {
        internal ConfigList<string> Added { get; init; } = [];

        /// <summary>AS numbers put in front, the first one foremost.</summary>
        internal ConfigList<uint> Prepended { get; init; } = [];

        internal uint? SetLocalPref { get; init; }

        internal long Preference { get; init; } = 100;
    }

    private static string Changes(PolicyEdit? edit) => edit is null ? "" : string.Join(
        ' ',
        new[] { edit.LocalPref?.ToString(CultureInfo.InvariantCulture) ?? "", edit.PrependAsns.Count > 0 ? "prepend" + string.Join(',', edit.PrependAsns) : "" }
            .Concat(edit.AddCommunities.Select(static value => $"{value >> 16}:{value & 0xFFFF}")).Concat(edit.AddLargeCommunities.Select(static value => $"{value.Global}:{value.Data1}:{value.Data2}")).Where(static text => text.Length > 0).Order(StringComparer.Ordinal));

    private static string Changes(Route before, Route after) => string.Join(
        ' ',
        new[] { after.SetLocalPref?.ToString(CultureInfo.InvariantCulture) ?? "", after.Prepended.Count > 0 ? "prepend" + string.Join(',', after.Prepended) : "" }.Concat(after.Added).Where(static text => text.Length > 0).Order(StringComparer.Ordinal));

    private static RibPeer Neighbour(ushort index, PeerKind kind, uint asn) => new() { Index = index, Name = $"p{index}", Kind = kind, RouterId = index, LocalAsn = 64512, Asn = asn };

    /// <summary>Every prefix that the files name.</summary>
    private static HashSet<Cidr> Names(BirdFile file)
    {
        HashSet<Cidr> nets = [];
        foreach (string text in file.Files.Select(File.ReadAllText))
        {
            string[] words = text.Split([' ', '\n', '{', '}', '(', ')', '[', ']', ';', ','], StringSplitOptions.RemoveEmptyEntries);
            nets.UnionWith(words.Where(static word => word.Contains('/', StringComparison.Ordinal)).Select(static word => Cidr.TryParse(word, out Cidr net) ? net : default).Where(static net => !net.Address.IsNone));
        }

        return nets;
    }

    private static IEnumerable<Route> Routes(bool six, HashSet<Cidr> named)
    {
        int most = six ? 128 : 32;
        List<Cidr> nets = [.. new[] { six ? "2001:db8::/32" : "8.8.8.0/24", six ? "::/0" : "0.0.0.0/0", six ? "2001:db8::1/128" : "9.9.9.9/32" }.Select(static text => Cidr.TryParse(text, out Cidr net) ? net : default)];
        foreach (Cidr net in named.Where(net => net.IsV4 != six))
        {
            nets.Add(net);
            foreach (int length in new[] { net.Length + 1, net.Length + 6, net.Length + 9, most, net.Length - 1 }.Where(length => length > 0 && length <= most).Distinct())
            {
                string text = six ? Ipv6Prefix.Create(net.Address, length).ToString() : Ipv4Prefix.Create(net.Address, length).ToString();
                nets.Add(Cidr.TryParse(text, out Cidr inner) ? inner : default);
            }
        }

        foreach (Cidr net in nets.Distinct())
        {
            foreach (string device in new[] { "cali123", "eth0", "tunl0", "vxlan.calico", "wg.cali", "bpfin.cali" })
            {
                foreach (uint metric in new uint[] { 0, 79, 80, 100, 512, 1023, 1024, 2000, 4999, 5000 })
                {
                    yield return new Route(RouteSource.Kernel, net, device, metric, 0, [], false, false);
                }
            }

            yield return new Route(RouteSource.Originate, net, "", 0, 0, [], false, false);
            foreach (uint localPref in new uint[] { 100, 2147478647, 2147478648, 2147482622, 2147482623, 2147482624, 2147483135, 2147483547, 2147483567, 2147483568 })
            {
                yield return new Route(RouteSource.Bgp, net, "", 0, localPref, [], false, false);
                yield return new Route(RouteSource.Bgp, net, "", 0, localPref, [65001, 65010, 7], true, true);
                yield return new Route(RouteSource.Bgp, net, "", 0, localPref, [65010, 65001], true, false);
            }
        }
    }

    private static PathAttributes Attributes(Route route)
    {
        Span<byte> buffer = stackalloc byte[1024];
        PathAttributesBuilder builder = PathAttributesBuilder.Originate(buffer, Origin.Igp, route.Net.IsV4 ? IpAddr.V4(0x0A000001) : IpAddr.V6(1, 1));
        if (route.Source != RouteSource.Bgp)
        {
            builder.SetLocal(new LocalRouteInfo(route.Source, 3, route.Metric, route.Interface, default));
            return PathAttributes.Decode(builder.Build().ToArray());
        }

        builder.SetLocalPref(route.LocalPref);
        for (int i = route.Path.Count - 1; i >= 0; i--)
        {
            builder.PrependAs(route.Path[i], 1);
        }

        if (route.Community)
        {
            builder.AddCommunity((65000u << 16) | 100);
        }

        if (route.Large)
        {
            builder.AddLargeCommunity(65001, 1, 2);
        }

        return PathAttributes.Decode(builder.Build().ToArray());
    }

    /// <summary>Runs filter code on one route. Knows attributes and operators, and nothing of how the importer works.</summary>
    /// <param name="ahead">What stands in front of the path before the filter is run: our own AS number towards an external neighbour.</param>
    private sealed class Machine(BirdFile file, bool import, bool priorities, ConfigList<uint> ahead)
    {
        private static readonly Func<long?, long?, bool> s_never = static (_, _) => false;

        private Route _route = null!;
        private long? _metric;
        private long? _localPref;
        private uint? _setLocalPref;
        private bool? _verdict;

        internal (bool Accept, Route After) Run(BirdOption option, Route route)
        {
            _route = route;
            _metric = route.Source == RouteSource.Kernel && route.Metric > 0 ? route.Metric : null;
            _localPref = route.Source == RouteSource.Bgp ? route.LocalPref : null;
            if (option.Filter is null)
            {
                return (option.Words[^1].Text == "all", route);
            }

            Run(option.Filter, []);
            return (_verdict ?? false, _route with { SetLocalPref = _setLocalPref });
        }

        private void Run(IEnumerable<BirdStatement> statements, Dictionary<string, bool> arguments)
        {
            foreach (BirdStatement statement in statements)
            {
                if (_verdict is not null)
                {
                    return;
                }

                switch (statement)
                {
                    case VerdictStatement verdict:
                        _verdict = verdict.Accept;
                        break;
                    case IfStatement branch:
                        Run(Holds(branch.Condition, arguments) ? branch.Then : branch.Else, arguments);
                        break;
                    case CallStatement call:
                        BirdFunction function = file.Functions[call.Name];
                        Run(function.Body, function.Arguments.Zip(call.Arguments).ToDictionary(static pair => pair.First, pair => Holds(pair.Second, arguments)));
                        break;
                    case MethodStatement { Name: "bgp_path", Argument: NumberExpression asn }:
                        _route = _route with { Prepended = [(uint)asn.Value, .. _route.Prepended] };
                        break;
                    case MethodStatement method:
                        _route = _route with { Added = [.. _route.Added.Append(string.Join(':', ((TupleExpression)method.Argument).Values)).Distinct()] };
                        break;
                    case SetStatement { Name: "krt_metric" } set:
                        _metric = Number(set.Value);
                        break;
                    case SetStatement { Name: "bgp_local_pref" } set:
                        _localPref = Number(set.Value);

                        // A number is a rule's own; a sum is the translation from the metric, which the tables make themselves.
                        _setLocalPref = set.Value is NumberExpression number ? (uint)number.Value : _setLocalPref;
                        break;
                    case SetStatement { Name: "preference" } set:
                        _route = _route with { Preference = Number(set.Value)!.Value };
                        break;
                    default:
                        throw new NotSupportedException(statement.ToString());
                }
            }
        }

        private long? Number(BirdExpression expression) => expression switch
        {
            NumberExpression number => number.Value,
            NameExpression { Name: "krt_metric" } => _metric,
            NameExpression { Name: "bgp_local_pref" } => _localPref,
            BinaryExpression { Operator: "-" } minus => Number(minus.Left) - Number(minus.Right),
            _ => throw new NotSupportedException(expression.ToString()),
        };

        private bool Holds(BirdExpression expression, Dictionary<string, bool> arguments)
        {
            switch (expression)
            {
                case NameExpression { Name: "true" }:
                    return true;
                case NameExpression { Name: "false" }:
                    return false;
                case NameExpression name:
                    return arguments[name.Name];
                case NotExpression not:
                    return !Holds(not.Inner, arguments);
                case BinaryExpression { Operator: "&&" } and:
                    return Holds(and.Left, arguments) && Holds(and.Right, arguments);
                case BinaryExpression { Operator: "||" } or:
                    return Holds(or.Left, arguments) || Holds(or.Right, arguments);
                case DefinedExpression defined:
                    return defined.Name switch { "source" => true, "krt_metric" => _metric is not null, "bgp_local_pref" => _localPref is not null, "ifname" => _route.Interface.Length > 0, _ => throw new NotSupportedException(defined.Name) };
                case BinaryExpression comparison:
                    return Compare(comparison);
                default:
                    throw new NotSupportedException(expression.ToString());
            }
        }

        private bool Compare(BinaryExpression c)
        {
            Cidr net = _route.Net;
            switch (c.Left)
            {
                case NameExpression { Name: "net" } when c.Right is NetExpression other:
                    return c.Operator switch { "=" => net == other.Net, "!=" => net != other.Net, "~" => other.Net.Contains(net), _ => !other.Net.Contains(net) };
                case NameExpression { Name: "net" } when c.Right is SetExpression set:
                    return c.Operator == "~" == set.Items.Any(item => item.Net.Contains(net) && net.Length >= item.Min && net.Length <= item.Max);
                case NameExpression { Name: "source" }:
                    return _route.Source == RouteSource.Bgp;
                case NameExpression { Name: "ifname" }:
                    return System.IO.Enumeration.FileSystemName.MatchesSimpleExpression(((TextExpression)c.Right).Value, _route.Interface, ignoreCase: false) && _route.Interface.Length > 0;
                case TupleExpression { Values.Count: 2 }:
                    return _route.Community;
                case TupleExpression:
                    return _route.Large;
                case NameExpression { Name: "bgp_path" }:
                    return ahead.Concat(_route.Path).Take(((PathMaskExpression)c.Right).Head.Count).SequenceEqual(((PathMaskExpression)c.Right).Head);
                default:
                    long? left = Number(c.Left);
                    long? right = Number(c.Right);
                    Assert.That(import || priorities || left is not null, Is.True);
                    return (c.Operator switch { "=" => static (a, b) => a == b, "<" => static (a, b) => a < b, ">" => static (a, b) => a > b, _ => s_never })(left, right);
            }
        }
    }
}
