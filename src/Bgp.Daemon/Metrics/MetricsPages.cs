using System.Globalization;
using System.Text;
using Bgp.Daemon.Control;
using Bgp.Daemon.Peers;
using Bgp.Protocol;

namespace Bgp.Daemon.Metrics;

/// <summary><c>/metrics</c> in Prometheus' text format, <c>/livez</c> (the tables turn) and <c>/readyz</c> (a peer is up, or there is none).</summary>
internal sealed class MetricsPages(BgpDaemon daemon)
{
    internal async ValueTask<HttpAnswer> AnswerAsync(string path)
    {
        switch (path)
        {
            case "/livez":
                await Task.WhenAll(daemon.Context.V4.AskAsync(static _ => 0), daemon.Context.V6.AskAsync(static _ => 0)).ConfigureAwait(false);
                return new HttpAnswer(200, "text/plain", "ok\n");
            case "/readyz":
                StatusDto status = daemon.Queries!.GetStatus();
                bool ready = status.PeersTotal == 0 || status.PeersEstablished > 0;
                return new HttpAnswer(ready ? 200 : 503, "text/plain", ready ? "ok\n" : "no peer is established\n");
            case "/metrics":
                return new HttpAnswer(200, "text/plain; version=0.0.4", Render());
            default:
                return new HttpAnswer(404, "text/plain", "/metrics, /livez or /readyz\n");
        }
    }

    private string Render()
    {
        IDaemonQueries queries = daemon.Queries!;
        StatusDto status = queries.GetStatus();
        StringBuilder text = new();
        Family(text, "pipit_info", "gauge", "Version and identity.");
        text.Append(CultureInfo.InvariantCulture, $"pipit_info{{version=\"{status.Version}\",router_id=\"{status.RouterId}\",asn=\"{status.Asn}\"}} 1\n");
        Single(text, "pipit_uptime_seconds", "gauge", "Seconds since the start.", status.UptimeSeconds);
        Single(text, "pipit_prefixes", "gauge", "Prefixes with at least one path.", status.Prefixes);
        Single(text, "pipit_paths", "gauge", "Paths of all peers.", status.Paths);
        Single(text, "pipit_peers", "gauge", "Configured and dynamic peers.", status.PeersTotal);
        Single(text, "pipit_peers_established", "gauge", "Peers with an established session.", status.PeersEstablished);
        IReadOnlyList<PeerDto> peers = queries.GetPeers();
        Family(text, "pipit_peer_up", "gauge", "Whether the peer's session is established.");
        foreach (PeerDto peer in peers)
        {
            text.Append(CultureInfo.InvariantCulture, $"pipit_peer_up{{peer=\"{Escape(peer.Name)}\"}} {(peer.State == "established" ? 1 : 0)}\n");
        }

        // What was switched off on purpose must be told apart from what is broken, and a session that comes back between two scrapes must show.
        Family(text, "pipit_peer_disabled", "gauge", "Whether the peer is disabled, by configuration or command.");
        foreach (PeerDto peer in peers)
        {
            text.Append(CultureInfo.InvariantCulture, $"pipit_peer_disabled{{peer=\"{Escape(peer.Name)}\"}} {(peer.State == "adminDown" ? 1 : 0)}\n");
        }

        PeerSession[] sessions = daemon.Peers.All;
        Counter("pipit_peer_sessions_total", "Sessions with the peer that were established.", static session => session.EstablishedCount);
        Counter("pipit_peer_updates_received_total", "UPDATE messages from the peer.", static session => session.Counters.Updates);
        Counter("pipit_peer_updates_withdrawn_total", "UPDATE messages from the peer that were treated as withdraw (RFC 7606).", static session => session.Counters.Withdrawn);
        Counter("pipit_peer_attributes_discarded_total", "Malformed attributes of the peer that were discarded (RFC 7606).", static session => session.Counters.Discarded);

        Family(text, "pipit_peer_prefixes", "gauge", "Prefixes of a peer by family and direction.");
        foreach (PeerDto peer in peers)
        {
            foreach ((string family, FamilyCountsDto counts) in peer.Families)
            {
                text.Append(CultureInfo.InvariantCulture, $"pipit_peer_prefixes{{peer=\"{Escape(peer.Name)}\",family=\"{family}\",kind=\"received\"}} {counts.Received}\n");
                text.Append(CultureInfo.InvariantCulture, $"pipit_peer_prefixes{{peer=\"{Escape(peer.Name)}\",family=\"{family}\",kind=\"accepted\"}} {counts.Accepted}\n");
                text.Append(CultureInfo.InvariantCulture, $"pipit_peer_prefixes{{peer=\"{Escape(peer.Name)}\",family=\"{family}\",kind=\"advertised\"}} {counts.Advertised}\n");
            }
        }

        if (peers.Any(static peer => peer.Bfd is not null))
        {
            Bfd(text, peers);
        }

        if (daemon.Kernel is { } kernel)
        {
            Kernel.KernelSyncStatistics statistics = kernel.Statistics;
            Single(text, "pipit_kernel_routes_own", "gauge", "Own routes in the kernel.", statistics.OwnV4 + statistics.OwnV6);
            Single(text, "pipit_kernel_routes_pending", "gauge", "Wanted routes that are not written yet.", statistics.PendingV4 + statistics.PendingV6);
            Single(text, "pipit_kernel_routes_failed", "gauge", "Wanted routes that the kernel refused.", statistics.FailedV4 + statistics.FailedV6);
            Single(text, "pipit_kernel_requests_total", "counter", "Route requests sent.", statistics.Requests);
            Single(text, "pipit_kernel_overruns_total", "counter", "Overruns of the netlink socket.", statistics.Overruns);
            Single(text, "pipit_kernel_resyncs_total", "counter", "Full dumps after the first.", statistics.Resyncs);
        }

        if (status.Bmp.Count > 0)
        {
            Bmp(text, status.Bmp);
        }

        Single(text, "pipit_log_lines_dropped_total", "counter", "Log lines lost to a slow reader.", daemon.LogProvider?.Dropped ?? 0);
        Single(text, "pipit_config_last_reload_successful", "gauge", "Whether the configuration that runs is the last one that was asked for.", status.ConfigErrors.Count == 0 ? 1 : 0);
        Single(text, "pipit_config_last_reload_success_timestamp_seconds", "gauge", "When the configuration that runs was loaded.", daemon.LoadedAt.ToUnixTimeMilliseconds() / 1e3);
        Single(text, "process_start_time_seconds", "gauge", "Start of the process.", daemon.StartedAt.ToUnixTimeMilliseconds() / 1e3);
        Single(text, "process_resident_memory_bytes", "gauge", "Resident memory.", Environment.WorkingSet);
        Single(text, "process_cpu_seconds_total", "counter", "User and system CPU time.", Environment.CpuUsage.TotalTime.TotalSeconds);
        return text.ToString();

        void Counter(string name, string help, Func<PeerSession, long> value)
        {
            Family(text, name, "counter", help);
            foreach (PeerSession session in sessions)
            {
                text.Append(CultureInfo.InvariantCulture, $"{name}{{peer=\"{Escape(session.Settings.Name)}\"}} {value(session)}\n");
            }
        }
    }

    private void Bfd(StringBuilder text, IReadOnlyList<PeerDto> peers)
    {
        Each("pipit_bfd_session_up", "gauge", "Whether the peer's BFD session is up.", static bfd => bfd.State == "up" ? 1 : 0);
        Each("pipit_bfd_losses_total", "counter", "How often the peer's BFD session went from up to down.", static bfd => bfd.Losses);
        Each("pipit_bfd_packets_sent_total", "counter", "BFD packets sent to the peer.", static bfd => bfd.PacketsSent);
        Each("pipit_bfd_packets_received_total", "counter", "BFD packets taken from the peer.", static bfd => bfd.PacketsReceived);
        Each("pipit_bfd_send_errors_total", "counter", "BFD packets to the peer that the kernel refused.", static bfd => bfd.SendErrors);
        Family(text, "pipit_bfd_packets_ignored_total", "counter", "BFD packets that belong to no session or failed a check.");
        foreach (BfdVerdict verdict in Enum.GetValues<BfdVerdict>())
        {
            if (verdict != BfdVerdict.Accepted)
            {
                text.Append(CultureInfo.InvariantCulture, $"pipit_bfd_packets_ignored_total{{reason=\"{verdict.ToString().ToLowerInvariant()}\"}} {daemon.Context.Bfd!.Ignored(verdict)}\n");
            }
        }

        void Each(string name, string type, string help, Func<BfdDto, long> value)
        {
            Family(text, name, type, help);
            foreach (PeerDto peer in peers)
            {
                if (peer.Bfd is { } bfd)
                {
                    text.Append(CultureInfo.InvariantCulture, $"{name}{{peer=\"{Escape(peer.Name)}\"}} {value(bfd)}\n");
                }
            }
        }
    }

    private static void Bmp(StringBuilder text, IReadOnlyList<BmpDto> stations)
    {
        Each("pipit_bmp_up", "gauge", "Whether the BMP station is connected.", static station => station.State == "down" ? 0 : 1);
        Each("pipit_bmp_synced", "gauge", "Whether the station has been sent the whole first dump.", static station => station.State == "up" ? 1 : 0);
        Each("pipit_bmp_connections_total", "counter", "Connections to the station.", static station => station.Connections);
        Each("pipit_bmp_drops_total", "counter", "Connections given up because the station read too slowly or not at all.", static station => station.Drops);
        Each("pipit_bmp_messages_sent_total", "counter", "BMP messages sent to the station.", static station => station.MessagesSent);
        Each("pipit_bmp_bytes_sent_total", "counter", "Octets sent to the station.", static station => station.BytesSent);
        Each("pipit_bmp_queued_bytes", "gauge", "Octets that wait for the station to read.", static station => station.QueuedBytes);

        void Each(string name, string type, string help, Func<BmpDto, long> value)
        {
            Family(text, name, type, help);
            foreach (BmpDto station in stations)
            {
                text.Append(CultureInfo.InvariantCulture, $"{name}{{station=\"{Escape(station.Name)}\"}} {value(station)}\n");
            }
        }
    }

    private static void Family(StringBuilder text, string name, string type, string help) =>
        text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} {type}\n");

    private static void Single(StringBuilder text, string name, string type, string help, double value)
    {
        Family(text, name, type, help);
        text.Append(CultureInfo.InvariantCulture, $"{name} {value}\n");
    }

    private static string Escape(string value) => value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
}
