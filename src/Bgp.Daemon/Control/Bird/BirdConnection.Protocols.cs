using System.Globalization;
using System.IO.Enumeration;

namespace Bgp.Daemon.Control.Bird;

/// <summary>A row of <c>show protocols</c>. <see cref="Peer"/> is null for what BIRD has as protocols and Pipit has built in.</summary>
internal sealed record BirdProtocol(string Name, string Kind, PeerDto? Peer);

/// <summary>Protocols: the peers under their BIRD names, and device, direct, kernel and static, which are always up.</summary>
internal sealed partial class BirdConnection
{
    private List<BirdProtocol> AllProtocols()
    {
        List<BirdProtocol> all = [new("device1", "Device", null), new("direct1", "Direct", null)];
        if (_queries.GetStatus().Kernel != "disabled")
        {
            all.Add(new("kernel1", "Kernel", null));
        }

        all.Add(new("static1", "Static", null));
        all.AddRange(_queries.GetPeers().Where(IsOfFamily).Select(static peer => new BirdProtocol(peer.BirdName ?? peer.Name, "BGP", peer)));
        return all;
    }

    private bool IsOfFamily(PeerDto peer) => _options.Family == 0 || peer.Families.ContainsKey(_options.Family == 6 ? "ipv6" : "ipv4");

    /// <summary>Protocols that a name or a <c>"pattern"</c> means; <paramref name="known"/> is false for a name that none has.</summary>
    private List<BirdProtocol> Matching(string word, out bool known)
    {
        bool pattern = BirdWords.IsPattern(word, out string text);
        List<BirdProtocol> found = [.. AllProtocols().Where(protocol => pattern ? FileSystemName.MatchesSimpleExpression(text, protocol.Name, ignoreCase: false) : protocol.Name == text)];
        known = pattern || found.Count > 0;
        return found;
    }

    private void NoSuchProtocol(string word)
    {
        if (BirdWords.IsPattern(word, out _))
        {
            _reply.End(8003, "No protocols match");
        }
        else
        {
            _reply.End(IsOld ? 9002 : 9001, IsOld ? $"{word} is not a protocol" : "syntax error, unexpected CF_SYM_UNDEFINED, expecting END or CF_SYM_KNOWN or TEXT or ALL");
        }
    }

    private void Protocols(List<string> words)
    {
        bool details = words.Count > 0 && words[0] == "all";
        if (details)
        {
            words = words[1..];
        }

        if (words.Count > 1)
        {
            Unexpected(words[1]);
            return;
        }

        List<BirdProtocol> rows = words.Count == 0 ? AllProtocols() : Matching(words[0], out bool known) is { } found && known ? found : [];
        if (rows.Count == 0)
        {
            NoSuchProtocol(words.Count == 0 ? "" : words[0]);
            return;
        }

        StatusDto status = _queries.GetStatus();
        _reply.Line(2002, IsOld ? "name     proto    table    state  since       info" : "Name       Proto      Table      State  Since         Info");
        foreach (BirdProtocol protocol in rows)
        {
            DateTimeOffset since = protocol.Peer is { } peer ? _options.Time.GetUtcNow() - TimeSpan.FromSeconds(peer.UptimeSeconds) : status.StartedAt ?? default;
            string table = IsOld ? "master" : protocol.Kind is "Kernel" or "Static" ? _options.Family == 6 ? "master6" : "master4" : "---";
            string state = protocol.Peer?.State switch { null or "established" => "up", "adminDown" => "down", _ => "start" };
            string row = IsOld
                ? $"{protocol.Name,-8} {protocol.Kind,-8} {table,-8} {state,-5}  {Short(since),-10}  {Info(protocol.Peer)}"
                : $"{protocol.Name,-10} {protocol.Kind,-10} {table,-10} {state,-6} {Short(since),-12}  {Info(protocol.Peer)}";
            _reply.Line(1002, row);
            if (details)
            {
                Details(protocol);
            }
        }

        _reply.End(0, "");
    }

    private static string Info(PeerDto? peer) => peer switch
    {
        null => "",
        { State: "adminDown" } => peer.LastError ?? "",
        _ => $"{StateName(peer.State),-14}{peer.LastError}",
    };

    private static string StateName(string state) => state switch
    {
        "established" => "Established",
        "openSent" => "OpenSent",
        "openConfirm" => "OpenConfirm",
        "connect" => "Connect",
        "active" => "Active",
        "adminDown" => "Down",
        _ => "Idle",
    };

    private void Details(BirdProtocol protocol)
    {
        if (protocol.Peer is null)
        {
            _reply.Line(1006, "");
            return;
        }

        PeerDetailDto? peer = _queries.GetPeer(protocol.Peer.Name);
        if (peer is null)
        {
            // Gone since the list was made.
            _reply.Line(1006, "");
            return;
        }

        if (peer.Description is { } description)
        {
            _reply.Line(1006, $"  Description:    {description}");
        }

        if (IsOld)
        {
            _reply.Line(1006, "  Preference:     100");
            _reply.Line(1006, $"  Input filter:   {Filters(peer.Import)}");
            _reply.Line(1006, $"  Output filter:  {Filters(peer.Export)}");
            foreach ((string family, FamilyCountsDto counts) in peer.Families.Where(item => _options.Family == 0 || item.Key == (_options.Family == 6 ? "ipv6" : "ipv4")))
            {
                _reply.Line(1006, "  " + Counts(counts));
            }
        }

        _reply.Line(1006, $"  BGP state:          {StateName(peer.State)}");
        _reply.Line(1006, $"    Neighbor address: {peer.Address}");
        _reply.Line(1006, string.Create(CultureInfo.InvariantCulture, $"    Neighbor AS:      {peer.Asn}"));
        if (!IsOld)
        {
            _reply.Line(1006, string.Create(CultureInfo.InvariantCulture, $"    Local AS:         {peer.LocalAsn}"));
        }

        if (peer.State == "established")
        {
            _reply.Line(1006, $"    Neighbor ID:      {peer.RouterId}");
            if (IsOld)
            {
                _reply.Line(1006, $"    Neighbor caps:    {OldCapabilities(peer)}");
            }
            else
            {
                Capabilities("Local", peer.CapabilitiesSent);
                Capabilities("Neighbor", peer.CapabilitiesReceived);
            }

            _reply.Line(1006, $"    Session:          {(peer.Ibgp ? "internal" : "external")}{(peer.RouteReflectorClient ? " route-reflector" : "")} AS4");
            _reply.Line(1006, $"    Source address:   {peer.LocalAddress}");
            _reply.Line(1006, string.Create(CultureInfo.InvariantCulture, $"    Hold timer:       {peer.HoldSeconds:F0}"));
            _reply.Line(1006, string.Create(CultureInfo.InvariantCulture, $"    Keepalive timer:  {peer.KeepaliveSeconds:F0}"));
        }
        else if (peer.LastError is { Length: > 0 } error)
        {
            _reply.Line(1006, $"    Last error:       {error}");
        }

        if (!IsOld)
        {
            foreach ((string family, FamilyCountsDto counts) in peer.Families.Where(item => _options.Family == 0 || item.Key == (_options.Family == 6 ? "ipv6" : "ipv4")))
            {
                _reply.Line(1006, $"  Channel {family}");
                _reply.Line(1006, $"    State:          {(peer.State == "established" ? "UP" : "DOWN")}");
                _reply.Line(1006, $"    Table:          master{family[^1]}");
                _reply.Line(1006, "    Preference:     100");
                _reply.Line(1006, $"    Input filter:   {Filters(peer.Import)}");
                _reply.Line(1006, $"    Output filter:  {Filters(peer.Export)}");
                if (peer.State == "established")
                {
                    _reply.Line(1006, "    " + Counts(counts));
                }
            }
        }

        _reply.Line(1006, "");
    }

    /// <summary>In the words and the order of BIRD 1.6.</summary>
    private static string OldCapabilities(PeerDetailDto peer)
    {
        IReadOnlyList<string> theirs = peer.CapabilitiesReceived;
        (string Ours, string Birds)[] words =
        [
            ("route-refresh", "refresh"), ("enhanced-refresh", "enhanced-refresh"), ("graceful-restart", "restart-able"), ("long-lived-graceful-restart", "llgr-able"),
            ("as4", "AS4"), ("add-path", "add-path"), ("extended-messages", "ext-messages"), ("extended-next-hop", "ext-next-hop"),
        ];
        return string.Join(' ', words.Where(word => theirs.Any(has => has == word.Ours || has.StartsWith(word.Ours + "(", StringComparison.Ordinal))).Select(static word => word.Birds));
    }

    private void Capabilities(string whose, IReadOnlyList<string> words)
    {
        _reply.Line(1006, $"    {whose} capabilities");
        foreach (string word in words)
        {
            _reply.Line(1006, $"      {word}");
        }
    }

    private static string Filters(IReadOnlyList<string> names) => names.Count switch
    {
        0 => "REJECT",
        1 when names[0] == "all" => "ACCEPT",
        1 when names[0] == "none" => "REJECT",
        _ => string.Join(',', names),
    };

    /// <summary>What BIRD counts and Pipit does not (preferred routes, changes over time) is left out rather than made up.</summary>
    private static string Counts(FamilyCountsDto counts) => string.Create(
        CultureInfo.InvariantCulture,
        $"Routes:         {counts.Accepted} imported, {(counts.Received > counts.Accepted ? $"{counts.Received - counts.Accepted} filtered, " : "")}{counts.Advertised} exported");

    private void BfdSessions()
    {
        List<PeerDto> sessions = [.. AllProtocols().Select(static protocol => protocol.Peer).OfType<PeerDto>().Where(static peer => peer.Bfd is not null)];
        if (sessions.Count == 0)
        {
            // BIRD's answer where no BFD protocol is configured.
            _reply.End(9001, "There is no BFD protocol running");
            return;
        }

        _reply.Line(1020, "bfd1:");
        _reply.Line(1020, $"IP address                Interface  State      Since       {(IsOld ? "" : "  ")}Interval  Timeout");
        foreach (PeerDto peer in sessions)
        {
            BfdDto bfd = peer.Bfd!;
            string state = bfd.State switch { "up" => "Up", "init" => "Init", "adminDown" => "AdminDown", _ => "Down" };
            string since = Short(_options.Time.GetUtcNow() - TimeSpan.FromSeconds(Math.Max(0, bfd.StateSeconds))).PadRight(IsOld ? 10 : 12);
            _reply.Line(1020, string.Create(
                CultureInfo.InvariantCulture, $"{peer.Address,-25} {"---",-10} {state,-10} {since}  {bfd.TransmitIntervalMs / 1000,7:0.000}  {bfd.DetectionTimeMs / 1000,7:0.000}"));
        }

        _reply.End(0, "");
    }
}
