using System.Diagnostics;
using System.Globalization;
using Bgp.Load.Peers;

namespace Bgp.Load.Scenarios;

/// <summary>All clients connect in the same instant, as after a reflector's restart; the clock stops when every session is established.</summary>
internal sealed class Herd(int clients) : Scenario
{
    internal override string Name => $"herd-{clients}";

    internal override IReadOnlyList<string> Rows => [Name];

    internal override bool Suits(Peer peer) => clients <= 500 || peer.Name is "pipit" or "frr" or "null";

    internal override Topology Topology(bool quick) => new(DutAsn, true, false, Clients(clients));

    internal override void Drive(Bench bench)
    {
        Usage before = bench.Meter.Read();
        double own = Meter.OwnCpu();
        long start = Stopwatch.GetTimestamp();
        bool up = bench.Fleet.Establish(bench.Fleet.Speakers, int.MaxValue, bench.Deadline);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        own = Meter.OwnCpu() - own;
        bench.Settle();
        string note = $"not in {bench.Settings.Limit} s ({bench.Fleet.Established.ToString(CultureInfo.InvariantCulture)} of {clients})";
        bench.Add(new Row { Id = Name, Peer = bench.Peer.Name, Seconds = up ? seconds : null, LoadCpu = own, Note = up ? null : note }, before, bench.Meter.Read());
    }
}
