using Bgp.Daemon.Tables;
using NUnit.Framework;

namespace Bgp.Daemon.Tests.Tables;

/// <summary>In which order a table takes what its senders gave it.</summary>
[TestFixture]
public sealed class WorkQueueTests
{
    private static readonly int s_everyone = WorkQueue<string>.Everyone;

    [Test]
    public void OneItemOfAQuietSenderWaitsForOneItemOfEachBusyOne()
    {
        WorkQueue<string> queue = new();
        for (int i = 0; i < 16; i++)
        {
            queue.Enqueue($"a{i}", 1);
            queue.Enqueue($"b{i}", 2);
        }

        queue.Enqueue("quiet", 3);
        Assert.That(Take(queue, 5), Is.EqualTo(new[] { "a0", "b0", "quiet", "a1", "b1" }));
    }

    [Test]
    public void WorkOfEveryoneIsInOrderWithAll()
    {
        WorkQueue<string> queue = new();
        queue.Enqueue("a0", 1);
        queue.Enqueue("a1", 1);
        queue.Enqueue("b0", 2);
        queue.Enqueue("barrier", s_everyone);
        queue.Enqueue("second barrier", s_everyone);
        queue.Enqueue("b1", 2);
        queue.Enqueue("c0", 3);
        Assert.That(Take(queue, 7), Is.EqualTo(new[] { "a0", "b0", "a1", "barrier", "second barrier", "b1", "c0" }));
        Assert.That(queue.TryDequeue(out _), Is.False);
    }

    [Test]
    public void WhateverIsAddedAndTakenItIsThereOnceInOrderAndNobodyWaitsLongerThanARound([Range(1, 50)] int seed)
    {
        Random random = new(seed);
        WorkQueue<Item> queue = new();
        List<Item> waiting = [];
        int next = 0;
        for (int step = 0; step < 20_000; step++)
        {
            // Long stretches of filling and of draining.
            if (random.Next(100) < (step / 500 % 2 == 0 ? 70 : 30))
            {
                int sender = random.Next(40) == 0 ? s_everyone : random.Next(1 + random.Next(300));
                Item item = new(sender, next++, waiting.Count(other => other.Sender == sender));
                queue.Enqueue(item, sender);
                waiting.Add(item);
                continue;
            }

            Assert.That(queue.Count, Is.EqualTo(waiting.Count));
            if (!queue.TryDequeue(out Item? taken))
            {
                Assert.That(waiting, Is.Empty);
                continue;
            }

            int place = waiting.IndexOf(taken);
            Assert.That(place, Is.GreaterThanOrEqualTo(0), "taken once");
            foreach (Item earlier in waiting[..place])
            {
                Assert.That(earlier.Sender == s_everyone || taken.Sender == s_everyone || earlier.Sender == taken.Sender, Is.False, $"{taken} before {earlier}");
                earlier.OvertakenBy[taken.Sender] = earlier.OvertakenBy.GetValueOrDefault(taken.Sender) + 1;
            }

            // One item of every other sender goes ahead for each item of its own sender that was in front of it, and one more.
            foreach ((int sender, int count) in taken.OvertakenBy)
            {
                Assert.That(count, Is.LessThanOrEqualTo(taken.InFront + 1), $"{taken} waited for sender {sender}");
            }

            waiting.RemoveAt(place);
        }
    }

    private static List<string> Take(WorkQueue<string> queue, int count)
    {
        List<string> taken = [];
        while (taken.Count < count && queue.TryDequeue(out string? work))
        {
            taken.Add(work);
        }

        return taken;
    }

    private sealed class Item(int sender, int number, int inFront)
    {
        internal int Sender => sender;

        /// <summary>Items of the same sender that waited when it was added.</summary>
        internal int InFront => inFront;

        internal Dictionary<int, int> OvertakenBy { get; } = [];

        public override string ToString() => $"{sender}:{number}";
    }
}
