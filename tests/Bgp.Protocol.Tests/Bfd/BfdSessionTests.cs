using CsCheck;

namespace Bgp.Protocol.Tests.Bfd;

/// <summary>Sessions in virtual time: timers, poll sequences, and both ends of a path that loses packets.</summary>
[TestFixture]
public sealed class BfdSessionTests
{
    private const long Millisecond = 1000;

    private static readonly BfdParameters s_fast = new(300_000, 300_000, 3);

    private static BfdSession Up(BfdParameters? parameters = null)
    {
        BfdSession session = new(1, parameters ?? s_fast);
        session.Receive(Heard(BfdState.Down, 0), 0);
        session.Receive(Heard(BfdState.Up), 0);
        session.Receive(Heard(BfdState.Up) with { Final = true }, 0);
        Assert.That((session.State, session.IsPolling), Is.EqualTo((BfdState.Up, false)));
        return session;
    }

    private static BfdPacket Heard(BfdState state, uint yours = 1) => new()
    {
        State = state,
        Multiplier = 3,
        MyDiscriminator = 2,
        YourDiscriminator = yours,
        DesiredMinTx = 300_000,
        RequiredMinRx = 300_000,
    };

    [TestCase(300_000L, 3, 225_000L, 300_000L)]
    [TestCase(300_000L, 1, 225_000L, 270_000L)]
    [TestCase(1_000_000L, 255, 750_000L, 1_000_000L)]
    public void Jitter_stays_within_its_bounds_and_uses_them(long interval, int multiplier, long least, long most)
    {
        long[] times = [.. Enumerable.Range(0, 4096).Select(i => BfdTimers.Jittered(interval, (byte)multiplier, (uint)i << 20))];
        Assert.That(times.Min(), Is.EqualTo(least));
        Assert.That(times.Max(), Is.InRange(most - (interval / 1000), most));
        Assert.That(BfdTimers.Jittered(interval, (byte)multiplier, uint.MaxValue), Is.InRange(least, most));
    }

    [Test]
    public void A_session_that_is_not_up_sends_once_a_second()
    {
        BfdSession session = new(1, s_fast);
        Assert.That(session.TransmitInterval, Is.EqualTo(1_000_000));
        Assert.That(session.Periodic().DesiredMinTx, Is.EqualTo(1_000_000));
        session.Receive(Heard(BfdState.Down, 0), 0);
        Assert.That((session.State, session.TransmitInterval), Is.EqualTo((BfdState.Init, 1_000_000L)));
        session.Receive(Heard(BfdState.Up), 0);
        Assert.That((session.State, session.TransmitInterval), Is.EqualTo((BfdState.Up, 300_000L)));
        Assert.That(session.Periodic().DesiredMinTx, Is.EqualTo(300_000));
    }

    [Test]
    public void The_slower_side_sets_both_rates()
    {
        BfdSession session = Up();
        session.Receive(Heard(BfdState.Up) with { DesiredMinTx = 500_000, RequiredMinRx = 700_000, Multiplier = 5 }, 10);
        Assert.That(session.TransmitInterval, Is.EqualTo(700_000));
        Assert.That(session.DetectionTime, Is.EqualTo(5 * 500_000));
        Assert.That(session.DetectionDeadline, Is.EqualTo(10 + (5 * 500_000)));
        session.Receive(Heard(BfdState.Up) with { DesiredMinTx = 10_000, RequiredMinRx = 10_000, Multiplier = 2 }, 20);
        Assert.That((session.TransmitInterval, session.DetectionTime), Is.EqualTo((300_000L, 600_000L)));
    }

    [Test]
    public void A_neighbour_that_takes_no_packets_gets_none()
    {
        BfdSession session = Up();
        BfdReaction reaction = session.Receive(Heard(BfdState.Up) with { RequiredMinRx = 0 }, 0);
        Assert.That(reaction, Is.EqualTo(BfdReaction.Reschedule));
        Assert.That(session.NextTransmit(0, 0), Is.EqualTo(long.MaxValue));
    }

    [Test]
    public void Demand_of_the_neighbour_stops_periodic_packets_while_both_are_up_but_not_polls()
    {
        BfdSession session = Up();
        session.Receive(Heard(BfdState.Up) with { Demand = true }, 0);
        Assert.That(session.TransmitInterval, Is.Zero);
        session.Configure(s_fast with { RequiredMinRx = 200_000 });
        Assert.That((session.IsPolling, session.TransmitInterval), Is.EqualTo((true, 300_000L)));
        session.Receive(Heard(BfdState.Up) with { Demand = true, Final = true }, 0);
        Assert.That(session.TransmitInterval, Is.Zero);
    }

    [Test]
    public void Silence_for_the_detection_time_and_not_less_is_down()
    {
        BfdSession session = Up();
        Assert.That(session.Expire(899_999), Is.EqualTo(BfdReaction.None));
        Assert.That(session.Expire(900_000).HasFlag(BfdReaction.StateChanged));
        Assert.That((session.State, session.Diagnostic, session.RemoteDiscriminator), Is.EqualTo((BfdState.Down, BfdDiagnostic.DetectionTimeExpired, 0u)));
        Assert.That(session.Expire(10_000_000), Is.EqualTo(BfdReaction.None), "nothing is expected any more");
        Assert.That(session.TransmitInterval, Is.EqualTo(1_000_000));
    }

    [Test]
    public void Administrative_down_of_the_neighbour_is_told_apart()
    {
        BfdSession session = Up();
        Assert.That(session.Receive(Heard(BfdState.AdminDown), 0).HasFlag(BfdReaction.StateChanged));
        Assert.That((session.State, session.RemoteState, session.Diagnostic), Is.EqualTo((BfdState.Down, BfdState.AdminDown, BfdDiagnostic.NeighborSignaledDown)));
    }

    [Test]
    public void While_held_down_here_nothing_is_heard_and_nothing_expires()
    {
        BfdSession session = Up();
        Assert.That(session.SetAdminDown(true), Is.EqualTo(BfdReaction.StateChanged | BfdReaction.Reschedule));
        Assert.That(session.Receive(Heard(BfdState.Up), 0), Is.EqualTo(BfdReaction.None));
        Assert.That(session.DetectionDeadline, Is.EqualTo(long.MaxValue));
        BfdPacket said = session.Periodic();
        Assert.That((said.State, said.Diagnostic, said.YourDiscriminator), Is.EqualTo((BfdState.AdminDown, BfdDiagnostic.AdministrativelyDown, 2u)));
        session.SetAdminDown(false);
        Assert.That((session.State, session.Diagnostic), Is.EqualTo((BfdState.Down, BfdDiagnostic.None)));
    }

    [Test]
    public void A_poll_is_answered_with_final_and_never_with_both()
    {
        BfdSession session = Up();
        session.Configure(s_fast with { RequiredMinRx = 200_000 });
        Assert.That(session.Receive(Heard(BfdState.Up) with { Poll = true }, 0).HasFlag(BfdReaction.SendFinal));
        Assert.That((session.Final().Poll, session.Final().Final, session.Periodic().Poll), Is.EqualTo((false, true, true)));
    }

    [Test]
    public void Coming_up_polls_for_the_faster_rate()
    {
        BfdSession session = new(1, s_fast);
        session.Receive(Heard(BfdState.Init), 0);
        Assert.That((session.State, session.IsPolling, session.Periodic().Poll), Is.EqualTo((BfdState.Up, true, true)));
        session.Receive(Heard(BfdState.Up) with { Final = true }, 0);
        Assert.That(session.IsPolling, Is.False);
    }

    [Test]
    public void Sending_slows_down_only_when_the_neighbour_has_been_told()
    {
        BfdSession session = Up();
        Assert.That(session.Configure(s_fast with { DesiredMinTx = 800_000 }), Is.EqualTo(BfdReaction.Reschedule));
        Assert.That((session.TransmitInterval, session.Periodic().DesiredMinTx, session.Periodic().Poll), Is.EqualTo((300_000L, 800_000u, true)));
        session.Receive(Heard(BfdState.Up) with { Final = true }, 0);
        Assert.That((session.TransmitInterval, session.Periodic().Poll), Is.EqualTo((800_000L, false)));
        session.Configure(s_fast);
        Assert.That(session.TransmitInterval, Is.EqualTo(300_000), "faster is safe at once");
    }

    [Test]
    public void A_shorter_detection_time_holds_only_when_the_neighbour_has_been_told()
    {
        BfdSession session = Up();
        BfdPacket quick = Heard(BfdState.Up) with { DesiredMinTx = 100_000 };
        session.Receive(quick, 0);
        session.Configure(s_fast with { RequiredMinRx = 100_000 });
        Assert.That(session.DetectionTime, Is.EqualTo(900_000));
        session.Receive(quick with { Final = true }, 0);
        Assert.That(session.DetectionTime, Is.EqualTo(300_000));
        session.Configure(s_fast with { RequiredMinRx = 600_000 });
        Assert.That(session.DetectionTime, Is.EqualTo(1_800_000), "longer is safe at once");
    }

    [Test]
    public void A_second_change_during_a_poll_is_polled_for_after_it()
    {
        BfdSession session = Up();
        session.Configure(s_fast with { DesiredMinTx = 500_000 });
        session.Configure(s_fast with { DesiredMinTx = 900_000 });
        session.Receive(Heard(BfdState.Up) with { Final = true }, 0);
        Assert.That((session.IsPolling, session.TransmitInterval), Is.EqualTo((true, 300_000L)));
        session.Receive(Heard(BfdState.Up) with { Final = true }, 0);
        Assert.That((session.IsPolling, session.TransmitInterval), Is.EqualTo((false, 900_000L)));
    }

    [Test]
    public void The_same_parameters_again_cost_nothing()
    {
        BfdSession session = Up();
        Assert.That(session.Configure(s_fast), Is.EqualTo(BfdReaction.None));
        Assert.That(session.IsPolling, Is.False);
    }

    [Test]
    public void The_largest_numbers_of_the_wire_do_not_overflow()
    {
        BfdSession session = Up();
        session.Receive(Heard(BfdState.Up) with { Multiplier = 255, DesiredMinTx = uint.MaxValue, RequiredMinRx = uint.MaxValue }, 1_000_000_000_000_000);
        Assert.That(session.DetectionTime, Is.EqualTo(255L * uint.MaxValue));
        Assert.That(session.DetectionDeadline, Is.GreaterThan(1_000_000_000_000_000));
        Assert.That(session.NextTransmit(1_000_000_000_000_000, uint.MaxValue), Is.GreaterThan(1_000_000_000_000_000));
    }

    [Test]
    public void Two_ends_come_up_on_any_path_that_loses_less_than_they_bear() => Check.Sample(
        from seed in Gen.UInt
        from percent in Gen.Int[0, 40]
        from delay in Gen.Int[0, 80]
        from first in Gen.UInt[50_000, 1_500_000]
        from second in Gen.UInt[50_000, 1_500_000]
        select (seed, percent, delay, first, second),
        static given =>
        {
            (uint seed, int percent, int delay, uint first, uint second) = given;
            Path path = new(seed, new BfdParameters(first, first, 3), new BfdParameters(second, second, 5)) { LossPercent = percent, Delay = delay * Millisecond };
            path.Run(60_000 * Millisecond);
            bool both = path.Ends[0].StateSeen.Contains(BfdState.Up) && path.Ends[1].StateSeen.Contains(BfdState.Up);
            path.LossPercent = 0;
            path.Run(30_000 * Millisecond);
            both &= path.Ends[0].Session.State == BfdState.Up && path.Ends[1].Session.State == BfdState.Up;
            both &= !path.Ends[0].Session.IsPolling && !path.Ends[1].Session.IsPolling;
            int downs = path.Ends.Sum(static end => end.Downs);
            path.Run(60_000 * Millisecond);
            both &= downs == path.Ends.Sum(static end => end.Downs);

            // One direction cut: both ends notice, each within its detection time or the neighbour's word.
            long cut = path.Now;
            path.Cut = true;
            long bound = Math.Max(path.Ends[0].Session.DetectionTime, path.Ends[1].Session.DetectionTime);
            path.Run(bound + (2_000 * Millisecond));
            return both && path.Ends[0].Session.State != BfdState.Up && path.Ends[1].Session.State != BfdState.Up && path.Ends.All(end => end.LastDown - cut <= bound + (200 * Millisecond));
        },
        iter: 60);

    /// <summary>A path with a session at each end.</summary>
    private sealed class Path(uint seed, BfdParameters first, BfdParameters second)
    {
        private readonly PriorityQueue<(int To, BfdPacket Packet), long> _wire = new();
        private uint _random = seed | 1;

        internal End[] Ends { get; } = [new End(new BfdSession(11, first)), new End(new BfdSession(22, second))];

        internal long Now { get; private set; }

        internal int LossPercent { get; set; }

        internal long Delay { get; init; }

        /// <summary>Nothing arrives at the second end any more.</summary>
        internal bool Cut { get; set; }

        internal void Run(long time)
        {
            long until = Now + time;
            while (true)
            {
                long next = Math.Min(Ends.Min(static end => Math.Min(end.NextTransmit, end.Session.DetectionDeadline)), _wire.TryPeek(out _, out long arrival) ? arrival : long.MaxValue);
                if (next > until)
                {
                    Now = until;
                    return;
                }

                Now = next;
                while (_wire.TryPeek(out (int To, BfdPacket Packet) item, out arrival) && arrival <= Now)
                {
                    _wire.Dequeue();
                    After(item.To, Ends[item.To].Session.Receive(item.Packet, Now));
                }

                for (int i = 0; i < 2; i++)
                {
                    End end = Ends[i];
                    if (end.Session.DetectionDeadline <= Now)
                    {
                        After(i, end.Session.Expire(Now));
                    }

                    if (end.NextTransmit <= Now)
                    {
                        Send(i, end.Session.Periodic());
                        end.NextTransmit = end.Session.NextTransmit(Now, Random());
                    }
                }
            }
        }

        private void After(int i, BfdReaction reaction)
        {
            End end = Ends[i];
            end.StateSeen.Add(end.Session.State);
            if (reaction.HasFlag(BfdReaction.StateChanged) && end.Session.State == BfdState.Down)
            {
                end.Downs++;
                end.LastDown = Now;
            }

            if (reaction.HasFlag(BfdReaction.SendFinal))
            {
                Send(i, end.Session.Final());
            }

            if (reaction.HasFlag(BfdReaction.StateChanged))
            {
                end.NextTransmit = Now;
            }
            else if (reaction.HasFlag(BfdReaction.Reschedule))
            {
                end.NextTransmit = Math.Min(end.NextTransmit, end.Session.NextTransmit(Now, Random()));
            }
        }

        private void Send(int from, BfdPacket packet)
        {
            if ((Cut && from == 0) || Random() % 100 < LossPercent)
            {
                return;
            }

            _wire.Enqueue((1 - from, packet), Now + Delay);
        }

        private uint Random()
        {
            _random ^= _random << 13;
            _random ^= _random >> 17;
            _random ^= _random << 5;
            return _random;
        }
    }

    private sealed class End(BfdSession session)
    {
        internal BfdSession Session { get; } = session;

        internal long NextTransmit { get; set; }

        internal int Downs { get; set; }

        internal long LastDown { get; set; }

        internal HashSet<BfdState> StateSeen { get; } = [];
    }
}
