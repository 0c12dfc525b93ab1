using System.CommandLine;
using Bgp.Daemon.Config;
using Bgp.Daemon.Control;

namespace Bgp.Daemon.Cli;

public sealed partial class CliApp
{
    private static readonly string[] ShowWords = ["protocols", "route", "status"];

    /// <summary>BIRD's words for hands that know them: the same answers as our own verbs.</summary>
    private void AddShowVerbs()
    {
        Argument<string[]> words = new("WORDS")
        {
            Description = "protocols [all [PEER]] | route [[for] PREFIX] [all] [primary] [filtered] [count] [protocol PEER] [export PEER] | status",
            Arity = ArgumentArity.OneOrMore,
        };
        words.CompletionSources.Add(ShowWords);
        Verb("show", "BIRD's words: show protocols, show route, show status", words).SetAction(parsed => Show(parsed, parsed.GetValue(words)!));
        Verb("configure", "BIRD's word for reload --wait").SetAction(parsed => Reload(parsed, new RequestDto { Verb = "reload", Wait = true }));
    }

    private int Show(ParseResult parsed, string[] words)
    {
        switch (words[0])
        {
            case "status" when words.Length == 1:
                return Status(parsed);
            case "protocols":
                return words[1..] switch
                {
                    [] => Peers(parsed, false, null),
                    ["all"] => ShowAll(parsed),
                    ["all", string name] => Peer(parsed, name, [], null),
                    [string name] => Peer(parsed, name, [], null),
                    _ => Unknown(words[^1], "show protocols", ["all"]),
                };
            case "route" or "routes":
                return ShowRoute(parsed, words[1..]);
            default:
                return words[0] == "status" ? Unknown(words[1], "show status", []) : Unknown(words[0], "show", ShowWords);
        }
    }

    private int ShowAll(ParseResult parsed)
    {
        foreach ((_, PeerDto peer) in AskPeers(parsed, false, null).ToList())
        {
            Peer(parsed, peer.Name, [], null);
            if (_output.IsTable)
            {
                _output.Out.WriteLine();
            }
        }

        return ExitCode.Ok;
    }

    private int ShowRoute(ParseResult parsed, string[] words)
    {
        RouteQuery query = new();
        bool count = false;
        for (int i = 0; i < words.Length; i++)
        {
            string? next = i + 1 < words.Length ? words[i + 1] : null;
            switch (words[i])
            {
                case "all":
                    if (_output.Format == "table")
                    {
                        _output.Format = "wide";
                    }

                    break;
                case "primary":
                    query = query with { Best = true };
                    break;
                case "filtered":
                    query = query with { Filtered = true };
                    break;
                case "count":
                    count = true;
                    break;
                case "for" or "protocol" or "export" when next is null:
                    return _output.Fail(ExitCode.Usage, $"'{words[i]}' needs a word after it");
                case "for":
                    query = query with { Prefix = next };
                    i++;
                    break;
                case "protocol":
                    query = query with { From = next };
                    i++;
                    break;
                case "export":
                    query = query with { To = next };
                    i++;
                    break;
                case var word when query.Prefix is null && word.Length > 0 && (char.IsAsciiHexDigit(word[0]) || word[0] == ':') && (word.Contains('.', StringComparison.Ordinal) || word.Contains(':', StringComparison.Ordinal)):
                    query = query with { Prefix = word };
                    break;
                default:
                    return Unknown(words[i], "show route", ["all", "primary", "filtered", "count", "for", "protocol", "export"]);
            }
        }

        return Routes(parsed, query, count);
    }

    private int Unknown(string word, string after, string[] known) =>
        _output.Fail(ExitCode.Usage, $"unknown word '{word}' after '{after}'{ConfigText.Suggest(word, known)}{(known.Length > 0 ? $" (one of {string.Join(", ", known)})" : "")}");
}
