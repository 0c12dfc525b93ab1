namespace Bgp.Load.Report;

/// <summary>What the rows are called for people.</summary>
internal static class Titles
{
    private static readonly Dictionary<string, string> s_rows = new()
    {
        ["ingest"] = "ingest 1M prefixes, 1 eBGP sender, 1 receiver",
        ["withdraw"] = "withdraw those 1M",
        ["multi-peer-ingest"] = "10 senders × the same 200k, different paths",
        ["peer-down"] = "one of those ten lost (best for 20k)",
        ["rr-internet"] = "reflect 200k internet routes to 50 clients",
        ["route-refresh"] = "route refresh of those 200k by one client",
        ["rr-internet-withdraw"] = "withdraw those 200k from 50 clients",
        ["rr-calico-500"] = "500 clients × 10 /26, each to all",
        ["churn"] = "churn: 10 % of those of 500 clients flapped 20 times",
        ["withdraw-all-500"] = "500 clients withdraw all",
        ["rr-calico-1000"] = "1,000 clients × 10 /26",
        ["withdraw-all-1000"] = "1,000 clients withdraw all",
        ["rr-calico-5000"] = "5,000 clients × 20 /26",
        ["withdraw-all-5000"] = "5,000 clients withdraw all",
        ["latency-idle"] = "latency of one route, idle, p50 / p99",
        ["latency-50k"] = "the same under 50k routes/s",
        ["latency-churn-100k"] = "the same while 100,000 routes churn",
        ["latency-all-499"] = "one route to all of 499 clients",
        ["kernel-100k"] = "100k routes into the kernel",
        ["kernel-100k-nh"] = "100k routes into the kernel, nexthop objects",
        ["mesh-node"] = "node in a mesh of 300 peers × 10, into the kernel",
        ["node-add"] = "ip route add on node A → kernel of node B",
        ["node-del"] = "ip route del on node A → kernel of node B",
        ["herd-500"] = "500 clients connecting in the same instant, all up",
        ["herd-1000"] = "1,000 clients connecting in the same instant, all up",
    };

    internal static string Of(string row) => s_rows.GetValueOrDefault(row, row);

    internal static bool IsLatency(string row) => row.StartsWith("latency", StringComparison.Ordinal) || row.StartsWith("node-", StringComparison.Ordinal);
}
