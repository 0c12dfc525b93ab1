using System.Globalization;
using System.Net;

namespace Bgp.Interop.Tests.Conformance;

/// <summary>One attribute as it came over the wire.</summary>
internal sealed record Attribute(byte Flags, byte[] Value)
{
    public override string ToString() => $"{Flags:x2}:{Convert.ToHexString(Value)}";
}

/// <summary>One route as the daemon sent it.</summary>
internal sealed class Route
{
    internal required Dictionary<byte, Attribute> Attributes { get; init; }

    internal required byte[] NextHop { get; init; }

    internal bool Has(byte code) => Attributes.ContainsKey(code);

    /// <summary>An attribute's value in hexadecimal, or null.</summary>
    internal string? this[byte code] => Attributes.TryGetValue(code, out Attribute? found) ? Convert.ToHexString(found.Value) : null;

    public override string ToString() => $"nh {Convert.ToHexString(NextHop)} " + string.Join(' ', Attributes.OrderBy(static item => item.Key).Select(static item => $"{item.Key}={item.Value}"));
}

/// <summary>
/// What a neighbour knows after all that the daemon sent, and everything about those messages that no RFC allows.
/// </summary>
internal sealed class RouteView(Identity who)
{
    private readonly Dictionary<string, Route> _routes = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _times = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _withdrawals = new(StringComparer.Ordinal);

    internal List<string> Complaints { get; } = [];

    /// <summary>Families whose End-of-RIB came: "4", "6".</summary>
    internal List<string> EndOfRibs { get; } = [];

    internal int Updates { get; private set; }

    internal IReadOnlyCollection<string> Prefixes => _routes.Keys;

    internal Route? Find(string prefix) => _routes.GetValueOrDefault(prefix);

    /// <summary>How often a prefix was announced.</summary>
    internal int Times(string prefix) => _times.GetValueOrDefault(prefix);

    /// <summary>How often a prefix that was known was withdrawn.</summary>
    internal int Withdrawals(string prefix) => _withdrawals.GetValueOrDefault(prefix);

    internal void Apply(byte[] body)
    {
        Updates++;
        try
        {
            Read(body);
        }
        catch (Exception exception) when (exception is ArgumentOutOfRangeException or IndexOutOfRangeException)
        {
            Complain($"does not parse: {Convert.ToHexString(body)}");
        }
    }

    private void Complain(string what) => Complaints.Add($"{who.Name}: {what}");

    private void Read(ReadOnlySpan<byte> body)
    {
        int withdrawnLength = Octets.ReadU16(body);
        ReadOnlySpan<byte> withdrawn = body.Slice(2, withdrawnLength);
        int attributesLength = Octets.ReadU16(body[(2 + withdrawnLength)..]);
        ReadOnlySpan<byte> attributes = body.Slice(4 + withdrawnLength, attributesLength);
        ReadOnlySpan<byte> nlri = body[(4 + withdrawnLength + attributesLength)..];
        if (body.Length == 4)
        {
            EndOfRibs.Add("4");
            return;
        }

        Dictionary<byte, Attribute> found = [];
        int index = 0;
        for (int at = 0; at < attributes.Length; index++)
        {
            byte flags = attributes[at];
            byte code = attributes[at + 1];
            bool wide = (flags & 0x10) != 0;
            int length = wide ? Octets.ReadU16(attributes[(at + 2)..]) : attributes[at + 2];
            at += wide ? 4 : 3;
            byte[] value = attributes.Slice(at, length).ToArray();
            at += length;
            if ((flags & 0x0F) != 0)
            {
                Complain($"attribute {code} with unused flag bits {flags:x2}");
            }

            if (!found.TryAdd(code, new Attribute((byte)(flags & 0xE0), value)))
            {
                Complain($"attribute {code} twice");
            }

            if (code is 14 or 15 && index != 0 && !found.ContainsKey((byte)(code == 14 ? 15 : 14)))
            {
                Complain($"attribute {code} is not the first");
            }
        }

        bool mp = found.ContainsKey(14) || found.ContainsKey(15);
        if (mp && !nlri.IsEmpty)
        {
            Complain("multiprotocol attribute beside IPv4 NLRI");
        }

        bool reaches = !nlri.IsEmpty || found.ContainsKey(14);
        if (reaches)
        {
            CheckSet(found, nlri.IsEmpty);
        }

        foreach (string prefix in Prefixes4(withdrawn))
        {
            Remove(prefix);
        }

        if (found.TryGetValue(15, out Attribute? unreach))
        {
            if (unreach.Value.Length == 3)
            {
                EndOfRibs.Add(Octets.ReadU16(unreach.Value) == 1 ? "4" : "6");
            }

            foreach (string prefix in PrefixesOf(Octets.ReadU16(unreach.Value), unreach.Value.AsSpan(3)))
            {
                Remove(prefix);
            }
        }

        foreach (string prefix in Prefixes4(nlri))
        {
            _times[prefix] = Times(prefix) + 1;
            _routes[prefix] = new Route { Attributes = found, NextHop = found.GetValueOrDefault((byte)3)?.Value ?? [] };
        }

        if (found.TryGetValue(14, out Attribute? reach))
        {
            int nextHopLength = reach.Value[3];
            Dictionary<byte, Attribute> rest = found.Where(static item => item.Key != 14).ToDictionary();
            foreach (string prefix in PrefixesOf(Octets.ReadU16(reach.Value), reach.Value.AsSpan(5 + nextHopLength)))
            {
                _times[prefix] = Times(prefix) + 1;
                _routes[prefix] = new Route { Attributes = rest, NextHop = reach.Value[4..(4 + nextHopLength)] };
            }
        }
    }

    private void Remove(string prefix)
    {
        if (_routes.Remove(prefix))
        {
            _withdrawals[prefix] = Withdrawals(prefix) + 1;
        }
    }

    /// <summary>RFC 4271 section 5: what must and must not be in a set, by the sort of session.</summary>
    private void CheckSet(Dictionary<byte, Attribute> found, bool onlyMp)
    {
        foreach (byte mandatory in (byte[])[1, 2])
        {
            if (!found.ContainsKey(mandatory))
            {
                Complain($"attribute {mandatory} is missing");
            }
        }

        if (!onlyMp && !found.ContainsKey(3))
        {
            Complain("NEXT_HOP is missing");
        }

        if (found.ContainsKey(5) != who.IsInternal)
        {
            Complain(who.IsInternal ? "LOCAL_PREF is missing" : "LOCAL_PREF to an external neighbour");
        }

        if (!who.IsInternal && (found.ContainsKey(9) || found.ContainsKey(10)))
        {
            Complain("route reflection attributes to an external neighbour");
        }

        foreach ((byte code, Attribute attribute) in found)
        {
            byte expected = code switch
            {
                1 or 2 or 3 or 5 or 6 => 0x40,
                4 or 9 or 10 or 14 or 15 => 0x80,
                _ => 0xC0,
            };
            if ((attribute.Flags & 0xC0) != expected)
            {
                Complain($"attribute {code} with flags {attribute.Flags:x2}");
            }
        }

        if (who.As4 && (found.ContainsKey(17) || found.ContainsKey(18)))
        {
            Complain("AS4 attribute to a neighbour with 4-octet AS numbers");
        }
    }

    private List<string> Prefixes4(ReadOnlySpan<byte> field) => PrefixesOf(1, field);

    private List<string> PrefixesOf(int afi, ReadOnlySpan<byte> field)
    {
        List<string> prefixes = [];
        for (int at = 0; at < field.Length;)
        {
            string id = "";
            if (who.AddPath)
            {
                id = "#" + Octets.ReadU32(field[at..]).ToString(CultureInfo.InvariantCulture);
                at += 4;
            }

            int bits = field[at];
            int length = (bits + 7) / 8;
            byte[] address = new byte[afi == 1 ? 4 : 16];
            field.Slice(at + 1, length).CopyTo(address);
            if (bits % 8 != 0 && (address[length - 1] & (0xFF >> (bits % 8))) != 0)
            {
                Complain("bits beyond the prefix length");
            }

            prefixes.Add($"{new IPAddress(address)}/{bits}{id}");
            at += 1 + length;
        }

        return prefixes;
    }
}
