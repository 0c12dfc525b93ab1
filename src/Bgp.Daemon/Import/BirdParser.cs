using System.Globalization;
using Bgp.Daemon.Config;
using Bgp.Protocol;

namespace Bgp.Daemon.Import;

/// <summary>
/// Parses BIRD 1.6's configuration language as far as Calico's templates use it. An error ends its statement; parsing goes on, so that one run tells all.
/// </summary>
internal sealed partial class BirdParser
{
    private const int MaxBytes = 16 << 20;
    private const int MaxDepth = 64;

    /// <summary>Terms of one expression: its tree is walked recursively.</summary>
    private const int MaxTerms = 1000;
    private readonly BirdFile _into;
    private readonly IssueSink _sink;
    private readonly List<BirdToken> _tokens;
    private int _at;
    private int _depth;

    private BirdParser(BirdFile into, IssueSink sink, List<BirdToken> tokens) => (_into, _sink, _tokens) = (into, sink, tokens);

    private BirdToken Now => _tokens[_at];

    /// <summary>Reads a file and what it includes.</summary>
    internal static BirdFile Load(string path, IssueSink sink)
    {
        BirdFile file = new() { Path = path };
        Read(file, path, path, sink, new BirdPlace(path, 1, 1));
        return file;
    }

    private static void Read(BirdFile into, string path, string shown, IssueSink sink, BirdPlace from)
    {
        string text;
        try
        {
            string full = Path.GetFullPath(path);
            if (into.Files.Contains(full))
            {
                return;
            }

            into.Files.Add(full);
            if (into.Files.Count > 1000 || new FileInfo(full) is { Exists: true, Length: > MaxBytes })
            {
                sink.Add(from.File, from.Line, from.Column, true, $"{shown}: too large, or too many files");
                return;
            }

            text = File.ReadAllText(full);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            string why = e is FileNotFoundException or DirectoryNotFoundException ? "no such file" : e is UnauthorizedAccessException ? "permission denied" : e.Message;
            sink.Add(from.File, from.Line, from.Column, true, $"cannot read {shown}: {why}");
            return;
        }

        new BirdParser(into, sink, BirdLexer.Cut(shown, text, sink)).Top(path);
    }

    private void Top(string path)
    {
        while (Now.Kind != BirdTokenKind.End)
        {
            int before = _at;
            try
            {
                Statement(path);
            }
            catch (BirdSyntaxException e)
            {
                _depth = 0;
                Report(e);
                Skip();
            }

            if (_at == before)
            {
                _at++;
            }
        }
    }

    private void Report(BirdSyntaxException e) => _sink.Add(e.Place.File, e.Place.Line, e.Place.Column, true, e.Message);

    private void Statement(string path)
    {
        BirdToken first = Now;
        if (Take(";"))
        {
            return;
        }

        if (Take("include"))
        {
            BirdToken name = Expect(BirdTokenKind.Text, "a file name in double quotes");
            Expect(";");
            if (name.Text.Contains('*', StringComparison.Ordinal))
            {
                throw new BirdSyntaxException(name.Place, "include with a pattern is not understood");
            }

            string folder = Path.GetDirectoryName(path) ?? "";
            Read(_into, Path.Combine(folder, name.Text), Path.Combine(Path.GetDirectoryName(first.Place.File) ?? "", name.Text), _sink, name.Place);
            return;
        }

        if (Take("function"))
        {
            Function(_into.Functions, hasArguments: true);
            return;
        }

        if (Take("filter"))
        {
            Function(_into.Filters, hasArguments: false);
            return;
        }

        if (Now.Is("protocol") || Now.Is("template"))
        {
            Protocol();
            return;
        }

        if (Now.Is("router") || Now.Is("listen") || Now.Is("log") || Now.Is("debug") || Now.Is("graceful") || Now.Is("timeformat"))
        {
            _into.Globals.Add(Option());
            return;
        }

        throw new BirdSyntaxException(first.Place, $"{first.Shown} is not understood at the top level");
    }

    private void Function(Dictionary<string, BirdFunction> into, bool hasArguments)
    {
        BirdToken name = Name();
        List<string> arguments = [];
        if (hasArguments)
        {
            Expect("(");
            while (!Take(")"))
            {
                if (!Take("bool"))
                {
                    throw new BirdSyntaxException(Now.Place, $"{Now.Shown}: only bool arguments are understood");
                }

                arguments.Add(Name().Text);
                _ = Take(";") || Take(",");
            }
        }

        ConfigList<BirdStatement> body = Block();
        if (!into.TryAdd(name.Text, new BirdFunction(name.Place, name.Text, [.. arguments], body)))
        {
            throw new BirdSyntaxException(name.Place, $"'{name.Text}' is defined twice");
        }

        _ = Take(";");
    }

    private void Protocol()
    {
        bool template = Now.Is("template");
        BirdToken start = Now;
        _at++;
        BirdToken type = Expect(BirdTokenKind.Word, "a protocol");
        string name = "";
        if (!Now.Is("{") && !Now.Is("from"))
        {
            name = Name().Text;
        }

        BirdToken? from = Take("from") ? Name() : null;
        Expect("{");
        BirdProtocolBlock block = new(start.Place, template, type.Text, name, from, []);
        _into.Protocols.Add(block);
        while (!Take("}"))
        {
            if (Now.Kind == BirdTokenKind.End)
            {
                throw new BirdSyntaxException(start.Place, $"{type.Text} {name}: the closing brace is missing");
            }

            if (Take(";"))
            {
                continue;
            }

            try
            {
                block.Options.Add(Option());
            }
            catch (BirdSyntaxException e)
            {
                Report(e);
                Skip();
            }
        }
    }

    /// <summary>Words up to the semicolon; braces nest, and those after <c>filter</c> hold statements.</summary>
    private BirdOption Option()
    {
        BirdPlace place = Now.Place;
        List<BirdToken> words = [];
        ConfigList<BirdStatement>? filter = null;
        int depth = 0;
        while (true)
        {
            if (Now.Kind == BirdTokenKind.End)
            {
                throw new BirdSyntaxException(place, "the semicolon is missing");
            }

            if (words.Count > 0 && words[^1].Is("filter") && Now.Is("{"))
            {
                filter = Block();
                _ = Take(";");
                return new BirdOption(place, words, filter);
            }

            if (depth == 0 && Take(";"))
            {
                return new BirdOption(place, words, filter);
            }

            if (depth == 0 && Now.Is("}"))
            {
                throw new BirdSyntaxException(Now.Place, "a semicolon is missing before '}'");
            }

            depth += Now.Is("{") ? 1 : Now.Is("}") ? -1 : 0;
            words.Add(Now);
            _at++;
        }
    }

    private ConfigList<BirdStatement> Block()
    {
        BirdToken open = Expect("{");
        if (++_depth > MaxDepth)
        {
            throw new BirdSyntaxException(open.Place, "nested too deeply");
        }

        List<BirdStatement> statements = [];
        while (!Take("}"))
        {
            if (Now.Kind == BirdTokenKind.End)
            {
                _depth--;
                throw new BirdSyntaxException(open.Place, "the closing brace is missing");
            }

            int depth = _depth;
            try
            {
                One(statements);
            }
            catch (BirdSyntaxException e)
            {
                _depth = depth;
                Report(e);
                Skip();
            }
        }

        _depth--;
        return [.. statements];
    }

    /// <summary>After an error: on to the end of the statement, or to the brace that closes what it stands in.</summary>
    private void Skip()
    {
        int depth = 0;
        while (Now.Kind != BirdTokenKind.End)
        {
            if (Now.Is("{"))
            {
                depth++;
            }
            else if (Now.Is("}"))
            {
                if (depth == 0)
                {
                    return;
                }

                if (--depth == 0)
                {
                    _at++;
                    return;
                }
            }
            else if (depth == 0 && Now.Is(";"))
            {
                _at++;
                return;
            }

            _at++;
        }
    }

    private void One(List<BirdStatement> into)
    {
        BirdToken first = Now;
        if (Take(";"))
        {
            return;
        }

        if (Now.Is("{"))
        {
            into.AddRange(Block());
            return;
        }

        if (Take("accept") || Take("reject"))
        {
            Expect(";");
            into.Add(new VerdictStatement(first.Place, first.Text == "accept"));
            return;
        }

        if (Take("if"))
        {
            BirdExpression condition = Expression();
            Expect("then");
            ConfigList<BirdStatement> then = Branch();
            into.Add(new IfStatement(first.Place, condition, then, Take("else") ? Branch() : []));
            return;
        }

        if (Now.Kind is not (BirdTokenKind.Word or BirdTokenKind.Symbol) || Now.Is("case") || Now.Is("return") || Now.Is("print") || Now.Is("printn"))
        {
            throw new BirdSyntaxException(first.Place, $"{first.Shown} is not understood in a filter");
        }

        _at++;
        if (Take("("))
        {
            List<BirdExpression> arguments = [];
            while (!Take(")"))
            {
                arguments.Add(Expression());
                _ = Take(",");
            }

            Expect(";");
            into.Add(new CallStatement(first.Place, first.Text, [.. arguments]));
        }
        else if (Take("="))
        {
            BirdExpression value = Expression();
            Expect(";");
            into.Add(new SetStatement(first.Place, first.Text, value));
        }
        else if (Take("."))
        {
            BirdToken method = Expect(BirdTokenKind.Word, "a method");
            Expect("(");
            BirdExpression argument = Expression();
            Expect(")");
            Expect(";");
            into.Add(new MethodStatement(first.Place, first.Text, method.Text, argument));
        }
        else
        {
            throw new BirdSyntaxException(Now.Place, $"{Now.Shown} is not understood after {first.Shown}");
        }
    }

    private ConfigList<BirdStatement> Branch()
    {
        if (++_depth > MaxDepth)
        {
            throw new BirdSyntaxException(Now.Place, "nested too deeply");
        }

        List<BirdStatement> statements = [];
        One(statements);
        _depth--;
        return [.. statements];
    }

    private bool Take(string text)
    {
        if (!Now.Is(text))
        {
            return false;
        }

        _at++;
        return true;
    }

    private BirdToken Expect(string text)
    {
        BirdToken token = Now;
        return Take(text) ? token : throw new BirdSyntaxException(token.Place, $"'{text}' is expected before {token.Shown}");
    }

    private BirdToken Expect(BirdTokenKind kind, string what)
    {
        BirdToken token = Now;
        if (token.Kind != kind)
        {
            throw new BirdSyntaxException(token.Place, $"{what} is expected before {token.Shown}");
        }

        _at++;
        return token;
    }

    private BirdToken Name()
    {
        BirdToken token = Now;
        if (token.Kind is not (BirdTokenKind.Word or BirdTokenKind.Symbol))
        {
            throw new BirdSyntaxException(token.Place, $"a name is expected before {token.Shown}");
        }

        _at++;
        return token;
    }
}
