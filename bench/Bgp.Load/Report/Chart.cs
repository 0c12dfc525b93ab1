using System.Globalization;
using System.Text;

namespace Bgp.Load.Report;

/// <summary>
/// The times as bars on a logarithmic scale: a group per row, a bar per daemon, the figure at its end. An SVG file of its own, with no script and no font to load.
/// </summary>
internal static class Chart
{
    private const int Left = 330;
    private const int Plot = 520;
    private const int Width = Left + Plot + 150;
    private const int Bar = 11;
    private const int Gap = 12;
    private const int Top = 74;
    private const double Lowest = 1e-5;
    private const double Highest = 100;

    private static readonly Dictionary<string, (string Title, string Colour)> s_peers = new()
    {
        ["pipit"] = ("Pipit", "#0b6e4f"),
        ["bird"] = ("BIRD", "#d1495b"),
        ["frr"] = ("FRR", "#edae49"),
        ["openbgpd"] = ("OpenBGPD", "#00798c"),
        ["gobgp"] = ("GoBGP", "#7a6c9d"),
        ["null"] = ("null relay: what the method itself costs", "#b8b8b8"),
    };

    internal static string Draw(Results results, IReadOnlyList<string> rows)
    {
        StringBuilder body = new();
        int y = Top;
        foreach (string row in rows)
        {
            Cell[] cells = [.. s_peers.Keys.Select(peer => results.Find(row, peer)).OfType<Cell>()];
            if (cells.Length == 0)
            {
                continue;
            }

            Text(body, Left - 10, y + cells.Length * Bar / 2 + 4, Titles.Of(row), "end", "#222");
            foreach (Cell cell in cells)
            {
                Draw(body, cell, y);
                y += Bar;
            }

            y += Gap;
        }

        StringBuilder svg = new();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {y + 40}\" font-family=\"sans-serif\" font-size=\"11\">\n");
        svg.Append(CultureInfo.InvariantCulture, $"<rect width=\"{Width}\" height=\"{y + 40}\" fill=\"#fff\"/>\n");
        Text(svg, 10, 20, $"Time per scenario, shorter is better, logarithmic. {results.Machine}, {results.Kernel}, {results.Date}", "start", "#222");
        int x = 10;
        foreach ((string title, string colour) in s_peers.Values)
        {
            svg.Append(CultureInfo.InvariantCulture, $"<rect x=\"{x}\" y=\"32\" width=\"11\" height=\"11\" fill=\"{colour}\"/>\n");
            Text(svg, x + 16, 42, title, "start", "#222");
            x += 40 + 8 * title.Length;
        }

        for (double mark = Lowest; mark <= Highest * 1.01; mark *= 10)
        {
            int at = Left + (int)Place(mark);
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{at}\" y1=\"{Top - 6}\" x2=\"{at}\" y2=\"{y}\" stroke=\"#ddd\"/>\n");
            Text(svg, at, Top - 12, Time(mark), "middle", "#666");
        }

        svg.Append(body);
        svg.Append("</svg>\n");
        return svg.ToString();
    }

    private static void Draw(StringBuilder body, Cell cell, int y)
    {
        string colour = s_peers[cell.Peer].Colour;
        double? seconds = cell.Note is not null ? null : cell.Seconds ?? cell.P50 / 1e6;
        double length = seconds is double s ? Place(s) : Plot;
        string fill = seconds is null ? "none" : colour;
        body.Append(CultureInfo.InvariantCulture, $"<rect x=\"{Left}\" y=\"{y + 1}\" width=\"{length:0}\" height=\"{Bar - 2}\" fill=\"{fill}\" stroke=\"{colour}\"/>\n");
        string label = cell.Note ?? (cell.P50 is double p50 ? $"{Summary.Micro(p50)} / {Summary.Micro(cell.P99 ?? 0)}" : Summary.Seconds(cell.Seconds ?? 0));
        Text(body, Left + (int)length + 4, y + Bar - 2, label.Length > 28 ? label[..28] : label, "start", "#444");
    }

    private static double Place(double seconds) =>
        Math.Clamp((Math.Log10(seconds) - Math.Log10(Lowest)) / (Math.Log10(Highest) - Math.Log10(Lowest)), 0.005, 1) * Plot;

    private static string Time(double seconds) => seconds switch
    {
        < 0.9e-3 => (seconds * 1e6).ToString("0 µs", CultureInfo.InvariantCulture),
        < 0.9 => (seconds * 1e3).ToString("0 ms", CultureInfo.InvariantCulture),
        _ => seconds.ToString("0 s", CultureInfo.InvariantCulture),
    };

    private static void Text(StringBuilder into, int x, int y, string text, string anchor, string colour) => into.Append(
        CultureInfo.InvariantCulture,
        $"<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal)}</text>\n");
}
