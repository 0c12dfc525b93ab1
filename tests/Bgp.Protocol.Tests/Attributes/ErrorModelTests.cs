using NUnit.Framework;

namespace Bgp.Protocol.Tests;

/// <summary>
/// RFC 7606 written down a second time, slowly and from its sections: random UPDATEs, each sound but for a few things, must be judged alike by the parser and by <see cref="Model"/>.
/// </summary>
[TestFixture]
public sealed class ErrorModelTests
{
    private const uint Foreign = 65200;

    /// <summary>Which sort of session.</summary>
    private sealed record Kind(bool As4, bool Internal, bool AddPath, bool NextHop6, bool Ipv4, bool Ipv6)
    {
        internal NegotiatedSession Session { get; } = Vectors.Session(As4, Internal, AddPath, extendedMessages: true, NextHop6, Ipv4, Ipv6);
    }

    [TestCase(true, true, false, false, true, true, TestName = "From inside")]
    [TestCase(true, false, false, false, true, true, TestName = "From outside")]
    [TestCase(false, true, false, false, true, true, TestName = "From inside with 2-octet AS numbers")]
    [TestCase(false, false, false, false, true, true, TestName = "From outside with 2-octet AS numbers")]
    [TestCase(true, true, true, false, true, true, TestName = "From inside with path identifiers")]
    [TestCase(true, false, false, true, true, true, TestName = "From outside with IPv6 next hops for IPv4")]
    [TestCase(true, false, false, false, true, false, TestName = "From outside with IPv4 alone")]
    [TestCase(true, true, false, false, false, true, TestName = "From inside with IPv6 alone")]
    [TestCase(false, false, true, true, true, true, TestName = "From outside with all that changes the layout")]
    public void An_UPDATE_is_judged_as_the_RFC_says(bool as4, bool ibgp, bool addPath, bool nextHop6, bool ipv4, bool ipv6)
    {
        Kind kind = new(as4, ibgp, addPath, nextHop6, ipv4, ipv6);
        Random random = new(7606 + (as4 ? 1 : 0) + (ibgp ? 2 : 0) + (addPath ? 4 : 0) + (nextHop6 ? 8 : 0) + (ipv4 ? 16 : 0) + (ipv6 ? 32 : 0));
        PathAttributesParser parser = new();
        Dictionary<UpdateAction, int> seen = [];
        int count = Environment.GetEnvironmentVariable("PIPIT_LONG") is { Length: > 0 } ? 3_000_000 : 15_000;
        for (int i = 0; i < count; i++)
        {
            byte[] body = new Maker(kind, random).Update();
            (UpdateAction action, byte[] subcodes, string why) = new Model(kind, body).Judge();
            UpdateError error = UpdateView.TryParse(body, kind.Session, out UpdateView view);
            bool ended = view.IsEndOfRib(out _);
            if (!error.IsError)
            {
                error = parser.Parse(view, kind.Session, new AttributeRules { EnforceFirstAs = false }, out _, out _);
            }

            if (error.Action != action || (action == UpdateAction.SessionReset && (error.Notification.Code != ErrorCode.UpdateMessage || !subcodes.Contains(error.Notification.Subcode))))
            {
                Assert.Fail($"message {i}: the model says {action} {string.Join('/', subcodes)} ({why}), the parser {error}, {error.Notification}: {Vectors.Hex(body)}");
            }

            if (ended)
            {
                Assert.That(action, Is.LessThanOrEqualTo(UpdateAction.TreatAsWithdraw), Vectors.Hex(body));
            }

            seen[action] = seen.GetValueOrDefault(action) + 1;
        }

        TestContext.Out.WriteLine(string.Join(", ", seen.OrderBy(static item => item.Key).Select(static item => $"{item.Key} {item.Value}")));
        Assert.That(seen, Has.Count.EqualTo(4), "an action that never came proves nothing");
        Assert.That(seen.Values.Min(), Is.GreaterThan(count / 50));
    }

    /// <summary>Makes UPDATEs that are sound but for a few things.</summary>
    private sealed class Maker(Kind kind, Random random)
    {
        private bool One(int of) => random.Next(of) == 0;

        private byte[] Octets(int count)
        {
            byte[] octets = new byte[count];
            random.NextBytes(octets);
            return octets;
        }

        internal byte[] Update()
        {
            // Some that only withdraw, with little else.
            bool bare = One(8);
            List<byte[]> attributes = [];
            foreach (byte code in (byte[])[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 32, 99, 26, 200])
            {
                bool usual = code is 1 or 2 or 3;
                if (bare ? !One(code == 15 ? 2 : 30) : usual ? One(40) : !One(6))
                {
                    continue;
                }

                attributes.Add(Attribute(code));
                if (One(25))
                {
                    attributes.Add(Attribute(code));
                }
            }

            byte[][] order = [.. attributes];
            random.Shuffle(order);
            byte[] octets = [.. order.SelectMany(static one => one)];
            if (One(60))
            {
                octets = [.. octets, .. Octets(random.Next(1, 4))];
            }

            if (One(25))
            {
                octets = [];
            }

            byte[] body = Vectors.Update(One(3) ? Prefixes(32) : [], octets, bare || One(3) ? [] : Prefixes(32));
            if (One(80))
            {
                body[random.Next(4)] = (byte)random.Next(256);
            }

            return body;
        }

        private byte[] Prefixes(int max)
        {
            List<byte> field = [];
            for (int count = random.Next(One(4) ? 1 : 0, 4); count > 0; count--)
            {
                if (kind.AddPath)
                {
                    field.AddRange(Octets(4));
                }

                int bits = random.Next(max + 1);
                field.Add((byte)bits);
                field.AddRange(Octets((bits + 7) / 8));
            }

            if (One(60))
            {
                field.Add((byte)random.Next(256));
            }

            return [.. field];
        }

        private byte[] Attribute(byte code)
        {
            byte flags = Model.Definition(code) ?? (byte)(random.Next(4) << 6);
            if (code is 99 or 200 && !One(20))
            {
                flags |= 0x80;
            }

            if (One(40))
            {
                flags ^= (byte)(random.Next(4) << 6);
            }

            flags |= (byte)(One(10) ? random.Next(0x40) & 0x2F : 0);
            byte[] value = Value(code);
            if (One(40))
            {
                value = One(2) ? [.. value, .. Octets(random.Next(1, 5))] : value[..random.Next(value.Length + 1)];
            }

            bool wide = value.Length > 255 || One(10);
            int length = One(250) ? random.Next(300) : value.Length;
            return wide ? [(byte)(flags | 0x10), code, (byte)(length >> 8), (byte)length, .. value] : [flags, code, (byte)length, .. value];
        }

        private byte[] Value(byte code)
        {
            switch (code)
            {
                case 1:
                    return [(byte)(One(30) ? random.Next(256) : random.Next(3))];
                case 2 or 17:
                    return Path(code == 17 || kind.As4);
                case 3:
                    return Address4();
                case 4 or 5 or 9:
                    return Octets(4);
                case 6:
                    return [];
                case 7:
                    return [.. Asn(kind.As4), .. Octets(4)];
                case 18:
                    return [.. Asn(true), .. Octets(4)];
                case 8 or 10:
                    return Octets(4 * random.Next(1, 4));
                case 16:
                    return Octets(8 * random.Next(1, 4));
                case 32:
                    return Octets(12 * random.Next(1, 4));
                case 14 or 15:
                    (int afi, byte safi) = random.Next(10) switch { < 6 => (2, (byte)1), < 8 => (1, (byte)1), 8 => (25, (byte)70), _ => (random.Next(3), (byte)random.Next(3)) };
                    byte[] family = [(byte)(afi >> 8), (byte)afi, safi];
                    byte[] prefixes = Prefixes(afi == 1 ? 32 : 128);
                    if (code == 15)
                    {
                        return [.. family, .. prefixes];
                    }

                    byte[] nextHop = One(30) ? Octets(random.Next(50)) : afi == 1 && !(kind.NextHop6 && One(2)) ? Address4() : [.. Address6(), .. One(3) ? Address6() : []];
                    return [.. family, (byte)nextHop.Length, .. nextHop, (byte)random.Next(2), .. prefixes];
                default:
                    return Octets(random.Next(6));
            }
        }

        private byte[] Address4() => One(30) ? Vectors.Hex(((string[])["00000000", "00010203", "E0000001", "F0000001", "FFFFFFFF"])[random.Next(5)]) : [10, .. Octets(3)];

        private byte[] Address6() => One(15) ? Vectors.Hex(((string[])["00000000000000000000000000000000", "00000000000000000000000000000001", "FF020000000000000000000000000001"])[random.Next(3)])
            : One(6) ? [0xFE, 0x80, .. Octets(14)] : [0x20, 0x01, .. Octets(14)];

        private byte[] Asn(bool as4)
        {
            uint asn = One(60) ? 0 : One(5) ? 23456 : Foreign;
            return as4 ? [(byte)(asn >> 24), (byte)(asn >> 16), (byte)(asn >> 8), (byte)asn] : [(byte)(asn >> 8), (byte)asn];
        }

        private byte[] Path(bool as4)
        {
            List<byte> path = [];
            for (int segments = random.Next(4); segments > 0; segments--)
            {
                int count = One(40) ? 0 : random.Next(1, 4);
                path.Add((byte)(One(60) ? random.Next(256) : One(30) ? random.Next(3, 5) : random.Next(1, 3)));
                path.Add((byte)(One(60) ? random.Next(256) : count));
                for (; count > 0; count--)
                {
                    path.AddRange(Asn(as4));
                }
            }

            return [.. path];
        }
    }

    /// <summary>What the sections say, one after the other.</summary>
    private sealed class Model(Kind kind, byte[] body)
    {
        private readonly List<(byte Flags, byte Code, byte[] Value)> _attributes = [];
        private readonly HashSet<byte> _resets = [];
        private readonly List<string> _reasons = [];
        private UpdateAction _action;

        /// <summary>Optional and Transitive bits of the attributes that this speaker implements.</summary>
        internal static byte? Definition(byte code) => code switch
        {
            1 or 2 or 3 or 5 or 6 => 0x40,
            4 or 9 or 10 or 14 or 15 => 0x80,
            7 or 8 or 16 or 17 or 18 or 32 => 0xC0,
            _ => null,
        };

        internal (UpdateAction Action, byte[] Subcodes, string Why) Judge()
        {
            Frame();
            if (_resets.Count > 0)
            {
                _action = UpdateAction.SessionReset;
            }

            return (_action, [.. _resets], string.Join("; ", _reasons));
        }

        private static int U16(ReadOnlySpan<byte> octets) => (octets[0] << 8) | octets[1];

        private void Reset(byte subcode, string why)
        {
            _resets.Add(subcode);
            _reasons.Add(why);
        }

        private void Frame()
        {
            // RFC 4271 section 6.3.
            int withdrawnLength = U16(body);
            if (withdrawnLength + 4 > body.Length)
            {
                Reset(1, "Withdrawn Routes Length");
                return;
            }

            int attributesLength = U16(body.AsSpan(2 + withdrawnLength));
            if (withdrawnLength + attributesLength + 4 > body.Length)
            {
                Reset(1, "Total Path Attribute Length");
                return;
            }

            byte[] withdrawn = body[2..(2 + withdrawnLength)];
            byte[] attributes = body[(4 + withdrawnLength)..(4 + withdrawnLength + attributesLength)];
            byte[] nlri = body[(4 + withdrawnLength + attributesLength)..];

            // RFC 7606 sections 3 (i), (j), 5.3, for families that were agreed on (RFC 4760 section 8).
            if (kind.Ipv4 && (Count(withdrawn, 32) < 0 || Count(nlri, 32) < 0))
            {
                Reset(10, "IPv4 prefixes");
            }

            bool overrun = !Split(attributes);
            bool reachable = nlri.Length > 0;
            bool others = attributes.Length > 0;
            foreach (byte code in (byte[])[14, 15])
            {
                List<(byte Flags, byte Code, byte[] Value)> all = _attributes.FindAll(one => one.Code == code);
                if (all.Count > 1)
                {
                    // RFC 7606 section 3 (g).
                    Reset(1, $"attribute {code} twice");
                }

                foreach ((_, _, byte[] value) in all)
                {
                    if (!Multiprotocol(code, value, ref reachable))
                    {
                        Reset(9, $"attribute {code} malformed");
                    }
                }
            }

            if (_resets.Count > 0)
            {
                return;
            }

            others = overrun || _attributes.Exists(static one => one.Code != 15);
            Attributes(nlri, reachable, overrun);

            // RFC 7606 section 5.2.
            if (_action == UpdateAction.TreatAsWithdraw && !reachable && others)
            {
                foreach (byte subcode in (byte[])[1, 3, 4, 5, 6, 8, 9, 11])
                {
                    Reset(subcode, "nothing announced");
                }
            }
        }

        /// <summary>RFC 7606 section 4. False: octets are left over, or the last attribute overruns.</summary>
        private bool Split(byte[] octets)
        {
            for (int at = 0; at < octets.Length;)
            {
                bool wide = (octets[at] & 0x10) != 0;
                int header = wide ? 4 : 3;
                byte code = at + 1 < octets.Length ? octets[at + 1] : (byte)0;
                int length = at + header > octets.Length ? int.MaxValue : wide ? U16(octets.AsSpan(at + 2)) : octets[at + 2];
                if (length > octets.Length - at - header)
                {
                    if (code is 14 or 15)
                    {
                        // Section 3 (j): the prefixes cannot be found.
                        Reset(9, "a multiprotocol attribute overruns");
                    }

                    return false;
                }

                _attributes.Add((octets[at], code, octets[(at + header)..(at + header + length)]));
                at += header + length;
            }

            return true;
        }

        /// <summary>How many prefixes a field holds; -1 when it is malformed.</summary>
        private int Count(ReadOnlySpan<byte> field, int max)
        {
            int count = 0;
            for (; !field.IsEmpty; count++)
            {
                if (kind.AddPath)
                {
                    if (field.Length < 5)
                    {
                        return -1;
                    }

                    field = field[4..];
                }

                int length = 1 + ((field[0] + 7) / 8);
                if (field[0] > max || field.Length < length)
                {
                    return -1;
                }

                field = field[length..];
            }

            return count;
        }

        private bool Multiprotocol(byte code, byte[] value, ref bool reachable)
        {
            if (value.Length < (code == 14 ? 5 : 3))
            {
                return false;
            }

            (int afi, int safi) = (U16(value), value[2]);
            if (!(safi == 1 && ((afi == 1 && kind.Ipv4) || (afi == 2 && kind.Ipv6))))
            {
                reachable |= code == 14;
                return true;
            }

            int max = afi == 1 ? 32 : 128;
            if (code == 15)
            {
                return Count(value.AsSpan(3), max) >= 0;
            }

            // RFC 4760 section 3, RFC 2545 section 3, RFC 8950 section 3, RFC 7606 section 7.11.
            int length = value[3];
            bool allowed = (afi == 1 && length == 4) || ((afi == 2 || kind.NextHop6) && length is 16 or 32);
            if (!allowed || value.Length < 5 + length)
            {
                return false;
            }

            int count = Count(value.AsSpan(5 + length), max);
            reachable |= count > 0;
            if (count > 0 && !IsHost(value.AsSpan(4, length)))
            {
                Note(UpdateAction.TreatAsWithdraw, "next hop in MP_REACH_NLRI");
            }

            return count >= 0;
        }

        private static bool IsHost(ReadOnlySpan<byte> address)
        {
            if (address.Length == 4)
            {
                return address[0] is not 0 and < 224;
            }

            bool Zero(ReadOnlySpan<byte> octets) => octets.IndexOfAnyExcept((byte)0) < 0;
            if (address.Length == 32 && Zero(address[..16]) && address[16] == 0xFE && (address[17] & 0xC0) == 0x80)
            {
                // Some speakers have no global address; the link-local one is a host.
                return true;
            }

            return address[0] != 0xFF && !Zero(address[..15]) | address[15] > 1;
        }

        private void Note(UpdateAction action, string why)
        {
            _reasons.Add(why);
            _action = (UpdateAction)Math.Max((int)_action, (int)action);
        }

        private void Withdraw(string why) => Note(UpdateAction.TreatAsWithdraw, why);

        private void Discard(string why) => Note(UpdateAction.AttributeDiscard, why);

        private void Attributes(byte[] nlri, bool reachable, bool overrun)
        {
            if (overrun)
            {
                Withdraw("attributes overrun");
            }

            HashSet<byte> known = [];
            foreach ((byte flags, byte code, byte[] value) in _attributes)
            {
                // RFC 7606 section 3 (g): what comes again is left out, whatever it holds.
                if (!known.Add(code))
                {
                    Discard($"attribute {code} repeated");
                    continue;
                }

                One(flags, code, value, kind.Ipv4 && nlri.Length > 0);
            }

            // Section 3 (d).
            if (reachable && (!known.Contains(1) || !known.Contains(2) || (kind.Ipv4 && nlri.Length > 0 && !known.Contains(3))))
            {
                Withdraw("mandatory attribute missing");
            }
        }

        private void One(byte flags, byte code, byte[] value, bool classic)
        {
            if (code is 5 or 9 or 10 && !kind.Internal)
            {
                Discard("sections 7.5, 7.9, 7.10");
                return;
            }

            if (code is 17 or 18 && kind.As4)
            {
                Discard("RFC 6793 section 4.1");
                return;
            }

            if (Definition(code) is not { } definition)
            {
                if ((flags & 0x80) == 0)
                {
                    if (code is (>= 11 and <= 13) or (>= 19 and <= 40) or 128 or 129 or (>= 241 and <= 243))
                    {
                        // IANA has it as optional.
                        Withdraw("section 3 (c), not implemented");
                    }
                    else
                    {
                        Reset(2, "RFC 4271 section 6.3, unrecognized well-known");
                    }
                }

                return;
            }

            if ((flags & 0xC0) != definition)
            {
                Withdraw($"section 3 (c), attribute {code}");
                return;
            }

            int length = value.Length;
            switch (code)
            {
                case 1 when length != 1 || value[0] > 2:
                    Withdraw("section 7.1");
                    break;
                case 2 when !IsPath(value, kind.As4, 2):
                    Withdraw("section 7.2");
                    break;
                case 3 when length != 4 || (classic && !IsHost(value)):
                    Withdraw("section 7.3");
                    break;
                case 4 or 5 or 9 when length != 4:
                    Withdraw("sections 7.4, 7.5, 7.9");
                    break;
                case 6 when length != 0:
                    Discard("section 7.6");
                    break;
                case 7 when length != (kind.As4 ? 8 : 6) || value[..^4].All(static octet => octet == 0):
                    Discard("section 7.7");
                    break;
                case 8 or 10 when length == 0 || length % 4 != 0:
                    Withdraw("sections 7.8, 7.10");
                    break;
                case 16 when length == 0 || length % 8 != 0:
                    Withdraw("section 7.14");
                    break;
                case 17 when length == 0 || !IsPath(value, true, 4):
                    Discard("RFC 6793 section 6");
                    break;
                case 18 when length != 8 || value[..4].All(static octet => octet == 0):
                    Discard("RFC 6793 section 6");
                    break;
                case 32 when length == 0 || length % 12 != 0:
                    Withdraw("RFC 8092 section 6");
                    break;
            }
        }

        private static bool IsPath(byte[] value, bool as4, byte lastType)
        {
            int size = as4 ? 4 : 2;
            for (int at = 0; at < value.Length;)
            {
                if (at + 1 >= value.Length || value[at] == 0 || value[at] > lastType || value[at + 1] == 0 || at + 2 + (size * value[at + 1]) > value.Length)
                {
                    return false;
                }

                for (int i = 0; i < value[at + 1]; i++)
                {
                    // RFC 7607 section 2.
                    if (value.AsSpan(at + 2 + (i * size), size).IndexOfAnyExcept((byte)0) < 0)
                    {
                        return false;
                    }
                }

                at += 2 + (size * value[at + 1]);
            }

            return true;
        }
    }
}
