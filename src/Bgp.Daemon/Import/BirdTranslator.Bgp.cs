using System.Globalization;
using Bgp.Protocol;

namespace Bgp.Daemon.Import;

/// <summary>The options of a BGP protocol.</summary>
internal sealed partial class BirdTranslator
{
    private static bool Bgp(BirdNodeFacts facts, BirdPeer peer, BirdOption option)
    {
        if (IsHarmless(facts, option))
        {
            return true;
        }

        List<BirdToken> words = option.Words;
        switch (words[0].Text)
        {
            case "description" when words is [_, { Kind: BirdTokenKind.Text } text]:
                peer.Description = text.Text;
                return true;
            case "local" when words is [_, { Text: "as" }, { Kind: BirdTokenKind.Number } asn]:
                peer.LocalAsn = Asn(asn);
                return true;
            case "neighbor":
                return Neighbor(peer, words);
            case "source" when words is [_, { Text: "address" }, { Kind: BirdTokenKind.Address } address]:
                peer.Source = IpAddr.TryParse(address.Text, out IpAddr source) ? source : default;
                return true;
            case "ttl" when words is [_, { Text: "security" }, _] && Flag(words[2]) is { } on:
                peer.TtlSecurity = on;
                return true;
            case "multihop" when words.Count == 1:
                peer.Multihop = 64;
                return true;
            case "multihop" when words is [_, { Kind: BirdTokenKind.Number } hops]:
                peer.Multihop = Number(hops) is >= 1 and <= 255 and var count ? count : throw new BirdSyntaxException(hops.Place, "multihop is 1-255");
                return true;
            case "direct" when words.Count == 1:
                peer.Multihop = 1;
                return true;
            case "passive" when words.Count == 1 || Flag(words[1]) is not null:
                peer.Passive = words.Count == 1 || Flag(words[1]) == true;
                return true;
            case "password" when words is [_, { Kind: BirdTokenKind.Text } secret]:
                peer.Password = secret.Text;
                return true;
            case "rr" when words is [_, { Text: "client" }] || (words is [_, { Text: "client" }, _] && Flag(words[2]) == true):
                peer.Client = true;
                return true;
            case "rr" when words is [_, { Text: "cluster" }, { Text: "id" }, { Kind: BirdTokenKind.Address } id]:
                peer.ClusterId = id.Text;
                return true;
            case "next" when words is [_, { Text: "hop" }, { Text: "self" or "keep" } how]:
                peer.NextHop = how.Text == "self" ? "self" : "unchanged";
                return true;
            case "allow" when words is [_, { Text: "local" }, { Text: "as" }, ..] && words.Count <= 4:
                peer.AllowLocalAs = words.Count == 3 ? 10 : Number(words[3]);
                return true;
            case "gateway" when words is [_, { Text: "recursive" }]:
                return true;
            case "add" when words is [_, { Text: "paths" }, { Text: "on" or "off" or "rx" or "tx" } paths]:
                peer.AddPathReceive = paths.Text is "on" or "rx";
                peer.AddPathSend = paths.Text is "on" or "tx";
                return true;
            case "graceful" when words is [_, { Text: "restart" }] || (words is [_, { Text: "restart" }, _] && Flag(words[2]) == true):
                return peer.GracefulRestart = true;
            case "graceful" when words is [_, { Text: "restart" }, { Text: "time" }, { Kind: BirdTokenKind.Number } time]:
                peer.RestartTime = Number(time);
                return true;
            case "import" or "export":
                if (option.Begins("import", "limit") || option.Begins("export", "limit") || option.Begins("import", "keep"))
                {
                    return false;
                }

                _ = words[0].Text == "import" ? peer.Import = option : peer.Export = option;
                return true;
            default:
                return Timer(peer, words);
        }
    }

    private static bool Timer(BirdPeer peer, List<BirdToken> words)
    {
        if (words is not [var what, { Text: "time" or "delay" or "retry" or "wait" }, ..] || words[^1].Kind != BirdTokenKind.Number)
        {
            return false;
        }

        switch (what.Text)
        {
            case "hold" when words.Count == 3:
                peer.Hold = Number(words[2]);
                return true;
            case "keepalive" when words.Count == 3:
                peer.Keepalive = Number(words[2]);
                return true;
            case "connect" when words is [_, { Text: "retry" }, { Text: "time" }, _]:
                peer.ConnectRetry = Number(words[3]);
                return true;
            case "connect" when words is [_, { Text: "delay" }, { Text: "time" }, _]:
                // The first attempt: at once here, with a random part.
                return true;
            case "error" when words is [_, { Text: "wait" }, { Text: "time" }, _, { Text: "," }, _]:
                peer.ErrorWait = Number(words[3]);
                return true;
            default:
                return false;
        }
    }

    private static bool Neighbor(BirdPeer peer, List<BirdToken> words)
    {
        if (words is not [_, { Kind: BirdTokenKind.Address } address, ..])
        {
            return false;
        }

        peer.Address = IpAddr.TryParse(address.Text, out IpAddr ip) ? ip : default;
        int i = 2;
        if (i + 1 < words.Count && words[i].Is("port"))
        {
            peer.Port = Number(words[i + 1]);
            i += 2;
        }

        if (i + 2 != words.Count || !words[i].Is("as"))
        {
            return false;
        }

        peer.Asn = Asn(words[i + 1]);
        return Config.ConfigValidator.IsHost(peer.Address) ? true : throw new BirdSyntaxException(address.Place, $"{peer.Name}: {peer.Address} is not the address of a host");
    }

    private static void Complete(BirdPeer peer)
    {
        if (peer.Name.Length == 0 || peer.Address.IsNone || peer.Asn == 0 || peer.LocalAsn == 0)
        {
            throw new BirdSyntaxException(peer.Place, "a BGP protocol needs a name, 'local as' and 'neighbor … as'");
        }

        if (!peer.GracefulRestart)
        {
            throw new BirdSyntaxException(peer.Place, $"{peer.Name}: without 'graceful restart' BIRD only helps its neighbours to restart; there is no word for that here");
        }

        if (peer.TtlSecurity && peer.Multihop == 0)
        {
            peer.Multihop = peer.IsIbgp ? 64 : 1;
        }

        if (peer.Client && !peer.IsIbgp)
        {
            throw new BirdSyntaxException(peer.Place, $"{peer.Name}: only an internal neighbour can be a route reflector client");
        }
    }

    private static bool? Flag(BirdToken token) => token.Text switch { "on" or "yes" => true, "off" or "no" => false, _ => null };

    private static uint Asn(BirdToken token) =>
        uint.TryParse(token.Text, NumberStyles.None, CultureInfo.InvariantCulture, out uint asn) && asn > 0 ? asn : throw new BirdSyntaxException(token.Place, $"{token.Shown} is not an AS number");
}
