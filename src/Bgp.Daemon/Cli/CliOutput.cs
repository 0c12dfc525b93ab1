using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Bgp.Daemon.Cli;

/// <summary>Where a verb writes, and how.</summary>
public sealed class CliOutput(TextWriter output, TextWriter error, bool isTerminal)
{
    /// <summary>Standard output.</summary>
    public TextWriter Out { get; } = output;

    /// <summary>Standard error.</summary>
    public TextWriter Error { get; } = error;

    /// <summary>Whether standard output is a terminal.</summary>
    public bool IsTerminal { get; } = isTerminal;

    /// <summary>table, wide, json, jsonl, yaml.</summary>
    public string Format { get; set; } = "table";

    /// <summary>Without the line of titles.</summary>
    public bool NoHeaders { get; set; }

    /// <summary>Colour only on a terminal, and never where NO_COLOR is set (to anything).</summary>
    public bool Colour => IsTerminal && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR")) && Environment.GetEnvironmentVariable("TERM") != "dumb";

    /// <summary>table or wide.</summary>
    public bool IsTable => Format is "table" or "wide";

    /// <summary>wide.</summary>
    public bool IsWide => Format == "wide";

    /// <summary>Prints an error line and gives the code back.</summary>
    public int Fail(int code, string message)
    {
        Error.WriteLine("pipit: " + Clean(message));
        return code;
    }

    /// <summary>Writes items that are JSON texts in a machine format: an array in json, as they come in jsonl and yaml.</summary>
    public void Items(IEnumerable<string> items)
    {
        bool first = true;
        if (Format == "json")
        {
            Out.Write('[');
        }

        foreach (string item in items)
        {
            switch (Format)
            {
                case "json":
                    Out.Write(first ? "\n  " : ",\n  ");
                    Out.Write(item);
                    break;
                case "yaml":
                    using (JsonDocument document = JsonDocument.Parse(item))
                    {
                        StringBuilder text = new();
                        Yaml(document.RootElement, 2, text, inList: true);
                        Out.Write("- " + text);
                    }

                    break;
                default:
                    Out.WriteLine(item);
                    Out.Flush();
                    break;
            }

            first = false;
        }

        if (Format == "json")
        {
            Out.WriteLine(first ? "]" : "\n]");
        }
        else if (Format == "yaml" && first)
        {
            Out.WriteLine("[]");
        }
    }

    /// <summary>Writes one object in a machine format.</summary>
    public void Single(string item)
    {
        if (Format != "yaml")
        {
            Out.WriteLine(item);
            return;
        }

        using JsonDocument document = JsonDocument.Parse(item);
        StringBuilder text = new();
        Yaml(document.RootElement, 0, text, inList: false);
        Out.Write(text);
    }

    private static void Yaml(JsonElement value, int indent, StringBuilder text, bool inList)
    {
        string pad = new(' ', indent);
        switch (value.ValueKind)
        {
            case JsonValueKind.Object when value.EnumerateObject().Any():
                bool first = true;
                foreach (JsonProperty property in value.EnumerateObject())
                {
                    text.Append(first && inList ? "" : pad).Append(Scalar(property.Name)).Append(':');
                    Nested(property.Value, indent, text);
                    first = false;
                }

                break;
            case JsonValueKind.Array when value.GetArrayLength() > 0:
                foreach (JsonElement item in value.EnumerateArray())
                {
                    text.Append(pad).Append("- ");
                    Yaml(item, indent + 2, text, inList: true);
                }

                break;
            default:
                text.Append(Scalar(value)).Append('\n');
                break;
        }
    }

    private static void Nested(JsonElement value, int indent, StringBuilder text)
    {
        bool block = (value.ValueKind == JsonValueKind.Object && value.EnumerateObject().Any()) || (value.ValueKind == JsonValueKind.Array && value.GetArrayLength() > 0);
        if (block)
        {
            text.Append('\n');
            Yaml(value, indent + 2, text, inList: false);
        }
        else
        {
            text.Append(' ').Append(Scalar(value)).Append('\n');
        }
    }

    // A JSON string is a YAML double-quoted scalar, and numbers, true, false and null are the same in both.
    private static string Scalar(JsonElement value) => value.ValueKind != JsonValueKind.String ? value.GetRawText()
        : "\"" + JsonEncodedText.Encode(value.GetString()!, JavaScriptEncoder.UnsafeRelaxedJsonEscaping) + "\"";

    /// <summary>A camelCase name for people: <c>updatesReceived</c> is <c>Updates received</c>.</summary>
    public static string Title(string name) =>
        string.Concat(name.Select((c, i) => i == 0 ? char.ToUpperInvariant(c).ToString() : char.IsUpper(c) ? " " + char.ToLowerInvariant(c) : c.ToString()));

    private static string Scalar(string name) => name.All(c => char.IsAsciiLetterOrDigit(c)) ? name : "\"" + JsonEncodedText.Encode(name) + "\"";

    /// <summary>Text that came from a peer or a file, safe for a terminal.</summary>
    public static string Clean(string? text)
    {
        if (text is null)
        {
            return "-";
        }

        return text.Any(char.IsControl) ? string.Concat(text.Select(c => char.IsControl(c) ? '?' : c)) : text;
    }

    /// <summary>9s, 12m, 3h05m, 3d04h.</summary>
    public static string Age(double seconds)
    {
        if (double.IsNaN(seconds) || seconds < 0)
        {
            return "-";
        }

        long s = (long)Math.Min(seconds, 1e12);
        return s < 60 ? string.Create(CultureInfo.InvariantCulture, $"{s}s")
            : s < 3600 ? string.Create(CultureInfo.InvariantCulture, $"{s / 60}m{s % 60:00}s")
            : s < 86400 ? string.Create(CultureInfo.InvariantCulture, $"{s / 3600}h{s / 60 % 60:00}m")
            : string.Create(CultureInfo.InvariantCulture, $"{s / 86400}d{s / 3600 % 24:00}h");
    }
}

/// <summary>
/// Aligned columns. Rows are kept until <see cref="Write"/>, or, past <see cref="Window"/> rows, written as they come with widths that only
/// grow: a table of a million routes costs a window of memory, and nothing is ever cut or wrapped.
/// </summary>
public sealed class TablePrinter(CliOutput output, params string[] titles)
{
    /// <summary>Rows that are looked at before the widths are chosen.</summary>
    public const int Window = 1000;

    private readonly List<string[]> _rows = [];
    private readonly int[] _widths = [.. titles.Select(t => t.Length)];
    private bool _started;

    /// <summary>Column whose text is coloured by what it says, or -1.</summary>
    public int StateColumn { get; init; } = -1;

    /// <summary>Adds a row.</summary>
    public void Row(params string?[] cells)
    {
        string[] row = new string[titles.Length];
        for (int i = 0; i < row.Length; i++)
        {
            row[i] = i < cells.Length && cells[i] is { Length: > 0 } cell ? CliOutput.Clean(cell) : "-";
            _widths[i] = Math.Max(_widths[i], row[i].Length);
        }

        _rows.Add(row);
        if (_rows.Count >= Window)
        {
            Write();
        }
    }

    /// <summary>Writes what is there.</summary>
    public void Write()
    {
        if (!_started && !output.NoHeaders)
        {
            Line(titles, colour: false);
        }

        _started = true;
        foreach (string[] row in _rows)
        {
            Line(row, output.Colour);
        }

        _rows.Clear();
    }

    private void Line(string[] cells, bool colour)
    {
        StringBuilder line = new();
        for (int i = 0; i < cells.Length; i++)
        {
            string code = colour && i == StateColumn ? cells[i] switch { "Established" => "\e[32m", "Down(admin)" => "\e[2m", _ => "\e[33m" } : "";
            line.Append(code).Append(cells[i]).Append(code.Length > 0 ? "\e[0m" : "");
            if (i < cells.Length - 1)
            {
                line.Append(' ', _widths[i] - cells[i].Length + 2);
            }
        }

        output.Out.WriteLine(line);
    }
}
