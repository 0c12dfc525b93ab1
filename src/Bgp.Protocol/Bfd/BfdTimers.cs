namespace Bgp.Protocol;

/// <summary>What a session is configured with. Intervals are in microseconds.</summary>
/// <param name="DesiredMinTx">How often to send while Up.</param>
/// <param name="RequiredMinRx">How often packets can be taken.</param>
/// <param name="Multiplier">Lost packets until down, 1-255.</param>
public readonly record struct BfdParameters(uint DesiredMinTx, uint RequiredMinRx, byte Multiplier);

/// <summary>The arithmetic of RFC 5880 sections 6.8.2, 6.8.4 and 6.8.7: numbers in, numbers out.</summary>
public static class BfdTimers
{
    /// <summary>A session that is not Up sends no faster than once a second (section 6.8.3).</summary>
    public const uint SlowInterval = 1_000_000;

    /// <summary>Microseconds between our packets before jitter: the slower of what we want and what the neighbour takes; 0 where it takes none.</summary>
    public static long TransmitInterval(uint desiredMinTx, uint remoteMinRx) => remoteMinRx == 0 ? 0 : Math.Max(desiredMinTx, remoteMinRx);

    /// <summary>Microseconds of silence after which the neighbour counts as lost: its multiplier, times the slower of what it wants to send and what we take.</summary>
    public static long DetectionTime(byte remoteMultiplier, uint requiredMinRx, uint remoteDesiredMinTx) => remoteMultiplier * (long)Math.Max(requiredMinRx, remoteDesiredMinTx);

    /// <summary>
    /// The time to the next packet: 75 to 100 % of the interval; with a multiplier of 1, 75 to 90 %, because there one late packet is a lost neighbour.
    /// </summary>
    /// <param name="random">Any number; equal numbers give equal jitter.</param>
    public static long Jittered(long interval, byte multiplier, uint random)
    {
        long span = interval * (multiplier == 1 ? 15 : 25) / 100;
        return (interval * 3 / 4) + (span * (random >> 8) / (1 << 24));
    }
}
