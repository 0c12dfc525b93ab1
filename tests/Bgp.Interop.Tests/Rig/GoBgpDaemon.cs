namespace Bgp.Interop.Tests.Rig;

/// <summary>GoBGP as all tests run it: in AS 64512, with timers of seconds. Routes of its own come by command.</summary>
internal static class GoBgpDaemon
{
    /// <summary>A neighbour in its configuration, with one family.</summary>
    /// <param name="settings">Further lines of <c>neighbors.config</c>.</param>
    /// <param name="sections">Further sections of the neighbour.</param>
    /// <param name="familySections">Further sections of its family.</param>
    internal static string Neighbour(string address, int asn = 64512, string family = "ipv4-unicast", string settings = "", string sections = "", string familySections = "") => $"""
        [[neighbors]]
          [neighbors.config]
            neighbor-address = "{address}"
            peer-as = {asn}
        {settings}
          [neighbors.timers.config]
            hold-time = 9
            keepalive-interval = 3
            connect-retry = 1
            idle-hold-time-after-reset = 1
        {sections}
          [[neighbors.afi-safis]]
            [neighbors.afi-safis.config]
              afi-safi-name = "{family}"
        {familySections}

        """;

    /// <summary>Starts it; returns when it answers commands.</summary>
    /// <param name="addresses">Where it listens; the first, of IPv4, is its router id.</param>
    /// <param name="options">Further words of its command line.</param>
    internal static Background Start(Lab lab, string ns, string name, string[] addresses, string neighbours, params string[] options)
    {
        string config = lab.File($"{name}.toml", $"""
            [global.config]
              as = 64512
              router-id = "{addresses[0]}"
              local-address-list = [{string.Join(", ", addresses.Select(static address => $"\"{address}\""))}]
            {neighbours}
            """);
        Background process = lab.Start(ns, name, ["gobgpd", "-f", config, "--api-hosts", "127.0.0.1:50051", "--pprof-disable", .. options]);
        Lab.Eventually(() => Lab.TryRun("ip", "netns", "exec", ns, "gobgp", "global").Output.Contains("64512", StringComparison.Ordinal), "gobgpd answers", 30, lab.Logs);
        return process;
    }
}
