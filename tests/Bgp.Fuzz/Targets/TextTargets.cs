using System.Text;
using Bgp.Daemon.Config;
using Bgp.Daemon.Control;

namespace Bgp.Fuzz;

/// <summary>Any octets as a configuration: a model or an error that says where, never an exception.</summary>
internal sealed class ConfigTarget : IFuzzTarget
{
    public IReadOnlyList<byte[]> Seeds { get; } =
    [
        .. ((string[])
        [
            "version: 1\nnode: { name: a, asn: 64512, ipv4: 10.0.0.1 }\n",
            "version: 1\nnode:\n  name: a\n  asn: 64512\n  ipv4: 10.0.0.1\n  ipv6: fd00::1\n  routerId: 10.0.0.1\npeers:\n  - { name: b, address: 10.0.0.2, asn: 65001, md5: secret, timers: { hold: 90s } }\n",
            "version: 1\nnode: { name: a, asn: 64512, ipv4: 10.0.0.1 }\nlisten: { address: 0.0.0.0, port: 179 }\nkernel: { enabled: true, table: main }\nfilters:\n  f:\n    - { match: { prefix: [10.0.0.0/8] }, action: accept }\npeerGroups:\n  g: { passive: true, import: [f], export: [all] }\npeers:\n  - { name: b, address: \"fd00::2\", asn: 64512, group: g, families: { ipv4: {}, ipv6: { maxPrefixes: { count: 2, action: restart } } } }\n",
            "{}", "- a\n- b\n", "a: &x [1, 2]\nb: *x\n", "version: 2\n", "node: ~\n",
        ]).Select(Encoding.UTF8.GetBytes),
    ];

    public IReadOnlyList<byte[]> Words { get; } = [.. ((string[])["version: 1\n", "node:", "peers:", "- ", "{", "}", "[", "]", ": ", "10.0.0.1", "fd00::1", "/24", "64512", "*x", "&x", "!!str ", "|\n", "\"", "'", "\t", "<<: ", "? ", "---\n"]).Select(Encoding.UTF8.GetBytes)];

    public void Run(ReadOnlySpan<byte> input)
    {
        ConfigResult result = ConfigReader.Parse(Encoding.UTF8.GetString(input), "fuzz");
        FuzzException.Unless(result.Model is not null || result.Errors.Any(), "neither a model nor an error");
    }
}

/// <summary>One line of a client on the control socket: a request or none, never an exception.</summary>
internal sealed class ControlTarget : IFuzzTarget
{
    /// <summary>What the reader makes once for all requests, and once for all errors, is not to be counted for the first one.</summary>
    public ControlTarget()
    {
        _ = ControlConnection.ParseRequest("{\"verb\":\"status\"}"u8);
        _ = ControlConnection.ParseRequest("\"'rbr\"\""u8);
    }

    public IReadOnlyList<byte[]> Seeds { get; } =
    [
        .. ((string[])
        [
            "{\"verb\":\"status\"}",
            "{\"verb\":\"peerCommand\",\"peer\":\"rr1\",\"action\":\"Disable\",\"reason\":\"x\"}",
            "{\"verb\":\"routes\",\"routes\":{\"from\":\"a\",\"received\":\"b\",\"to\":null}}",
            "{\"verb\":\"wait\",\"seconds\":1.5,\"flag\":true}",
            "{\"verb\":\"explain\",\"prefix\":\"10.0.0.0/8\",\"to\":\"\\u20ac\"}",
            "[]", "null", "1e999", "\"\\ud800\"",
        ]).Select(Encoding.UTF8.GetBytes),
    ];

    public IReadOnlyList<byte[]> Words { get; } = [.. ((string[])["{", "}", "[", "]", "\"verb\":", "null", "true", "1e400", "-0", "\\u0000", "\\ud83d", "\"routes\":{", ","]).Select(Encoding.UTF8.GetBytes), [0xFF], [0xC0, 0x80]];

    public void Run(ReadOnlySpan<byte> input)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        RequestDto? request = ControlConnection.ParseRequest(input);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        FuzzException.Unless(allocated <= 64 * 1024 + (64L * input.Length), $"{allocated} octets allocated for {input.Length}");
        FuzzException.Unless(request is null || request.Verb is not null, "a request without a verb");
    }
}
