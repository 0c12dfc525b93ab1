using Bgp.Protocol;
using Microsoft.Extensions.Logging;

namespace Bgp.Daemon.Runtime;

/// <summary>Every line that the daemon logs, in one place, so that an operator's manual can be read off it.</summary>
internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Information, "Pipit {Version} starts: router id {RouterId}, AS {Asn}, configuration {Path}")]
    internal static partial void Starting(ILogger log, string version, string routerId, uint asn, string path);

    [LoggerMessage(2, LogLevel.Information, "stopping: kernel routes stay; neighbours with graceful restart keep forwarding")]
    internal static partial void StoppingGracefully(ILogger log);

    [LoggerMessage(3, LogLevel.Warning, "stopping for good: sessions get Cease, own kernel routes are removed")]
    internal static partial void StoppingHard(ILogger log);

    [LoggerMessage(4, LogLevel.Critical, "the {Family} table's loop threw: a bug; the turn was abandoned")]
    internal static partial void LoopFault(ILogger log, string family, Exception exception);

    [LoggerMessage(5, LogLevel.Information, "listening on {EndPoint}")]
    internal static partial void Listening(ILogger log, string endPoint);

    [LoggerMessage(6, LogLevel.Error, "cannot listen on {EndPoint}: {Reason}; trying again every second")]
    internal static partial void CannotListen(ILogger log, string endPoint, string reason);

    [LoggerMessage(52, LogLevel.Information, "not listening on {EndPoint}: this kernel has no such address family")]
    internal static partial void NoSuchFamily(ILogger log, string endPoint);

    [LoggerMessage(53, LogLevel.Error, "cannot accept connections on {EndPoint}: {Reason}; trying again")]
    internal static partial void CannotAccept(ILogger log, string endPoint, string reason);

    [LoggerMessage(7, LogLevel.Information, "refused a connection from {Address}: no such peer is configured{More}")]
    internal static partial void UnknownPeer(ILogger log, string address, string more);

    [LoggerMessage(44, LogLevel.Information, "closed a connection from {Address}: it may be that of any of {Names}, and their own attempts are not over{More}")]
    internal static partial void AmbiguousPeer(ILogger log, string address, string names, string more);

    [LoggerMessage(12, LogLevel.Warning, "refused a connection from {Address}: the range {Range} has its {Limit} peers{More}")]
    internal static partial void RangeFull(ILogger log, string address, string range, int limit, string more);

    [LoggerMessage(8, LogLevel.Information, "configuration reloaded: {Summary}")]
    internal static partial void Reloaded(ILogger log, string summary);

    [LoggerMessage(9, LogLevel.Error, "configuration not reloaded, the running one stays: {Errors}")]
    internal static partial void ReloadRefused(ILogger log, string errors);

    [LoggerMessage(10, LogLevel.Warning, "{Text}")]
    internal static partial void ConfigWarning(ILogger log, string text);

    [LoggerMessage(20, LogLevel.Debug, "{Peer}: {From} -> {To}")]
    internal static partial void PeerState(ILogger log, string peer, string from, string to);

    [LoggerMessage(21, LogLevel.Information, "{Peer}: established, AS {Asn}, router id {RouterId}, families {Families}")]
    internal static partial void PeerEstablished(ILogger log, string peer, uint asn, string routerId, string families);

    [LoggerMessage(22, LogLevel.Warning, "{Peer}: session down: {Reason}")]
    internal static partial void PeerDown(ILogger log, string peer, string reason);

    [LoggerMessage(23, LogLevel.Warning, "{Peer}: UPDATE error in {Attribute}: {Reason}; {Action}")]
    internal static partial void UpdateError(ILogger log, string peer, AttributeCode attribute, string reason, UpdateAction action);

    [LoggerMessage(24, LogLevel.Critical, "{Peer}: reading its messages threw: a bug; the session is reset")]
    internal static partial void ReaderFault(ILogger log, string peer, Exception exception);

    [LoggerMessage(31, LogLevel.Critical, "taking a connection from {Address} threw: a bug; the connection is dropped")]
    internal static partial void AcceptFault(ILogger log, string address, Exception exception);

    [LoggerMessage(25, LogLevel.Warning, "{Peer}: {Count} {Family} prefixes, over the limit of {Limit}")]
    internal static partial void MaxPrefixes(ILogger log, string peer, int count, string family, int limit);

    [LoggerMessage(26, LogLevel.Error, "{Peer}: stays down: {Reason}")]
    internal static partial void PeerUnusable(ILogger log, string peer, string reason);

    [LoggerMessage(27, LogLevel.Warning, "{Peer}: cannot connect: {Reason}; retrying")]
    internal static partial void ConnectFailed(ILogger log, string peer, string reason);

    [LoggerMessage(36, LogLevel.Debug, "{Peer}: cannot connect: {Reason}")]
    internal static partial void ConnectFailedAgain(ILogger log, string peer, string reason);

    [LoggerMessage(28, LogLevel.Information, "{Peer}: its {Family} routes are kept as stale for {Seconds} s (graceful restart)")]
    internal static partial void StaleKept(ILogger log, string peer, string family, int seconds);

    [LoggerMessage(29, LogLevel.Information, "{Peer}: sent shutdown text: {Text}")]
    internal static partial void ShutdownText(ILogger log, string peer, string text);

    [LoggerMessage(30, LogLevel.Trace, "{Peer}: {Side} connection: {Action} {Detail}")]
    internal static partial void PeerAction(ILogger log, string peer, ConnectionSide side, SessionActionKind action, string detail);

    [LoggerMessage(31, LogLevel.Information, "{Peer}: BFD {From} -> {To} ({Diagnostic})")]
    internal static partial void BfdState(ILogger log, string peer, BfdState from, BfdState to, BfdDiagnostic diagnostic);

    [LoggerMessage(32, LogLevel.Information, "BFD runs with {Priority}")]
    internal static partial void BfdStarted(ILogger log, string priority);

    [LoggerMessage(33, LogLevel.Error, "BFD {Problem}; retrying")]
    internal static partial void BfdUnavailable(ILogger log, string problem);

    [LoggerMessage(34, LogLevel.Information, "{Peer}: its {Family} routes are long-lived stale for {Seconds} s")]
    internal static partial void LongLivedStale(ILogger log, string peer, string family, int seconds);

    [LoggerMessage(35, LogLevel.Information, "start: {Text}")]
    internal static partial void Recovery(ILogger log, string text);

    [LoggerMessage(40, LogLevel.Information, "kernel: first dump complete, {Routes} routes, {Own} of them ours from before")]
    internal static partial void KernelReady(ILogger log, int routes, int own);

    [LoggerMessage(41, LogLevel.Information, "kernel: {Count} own routes that nobody confirmed are removed")]
    internal static partial void Pruning(ILogger log, int count);

    [LoggerMessage(42, LogLevel.Warning, "kernel: {Text}")]
    internal static partial void KernelWarning(ILogger log, string text);

    [LoggerMessage(43, LogLevel.Critical, "{Where} threw: a bug; it goes on")]
    internal static partial void Fault(ILogger log, string where, Exception exception);

    [LoggerMessage(50, LogLevel.Information, "BMP {Station}: connected to {EndPoint}")]
    internal static partial void BmpUp(ILogger log, string station, string endPoint);

    [LoggerMessage(51, LogLevel.Warning, "BMP {Station}: {Reason}; retrying")]
    internal static partial void BmpDown(ILogger log, string station, string reason);
}
