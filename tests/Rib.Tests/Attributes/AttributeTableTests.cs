using System.Buffers.Binary;
using Bgp.Protocol;

namespace Rib.Tests.Attributes;

/// <summary>Interned sets against a dictionary, and what they leave behind.</summary>
[TestFixture]
public sealed class AttributeTableTests
{
    [Test]
    public void Ids_octets_and_references_agree_with_a_dictionary([Range(1, 12)] int seed)
    {
        Random random = new(seed);
        AttributeTable table = new();
        Dictionary<string, (uint Id, int References)> model = [];
        byte[][] pool = [.. Enumerable.Range(0, 400).Select(number => Set(number, Length(random)))];
        for (int step = 0; step < 20_000; step++)
        {
            byte[] set = pool[random.Next(pool.Length)];
            string key = Convert.ToHexString(set);
            bool known = model.TryGetValue(key, out (uint Id, int References) entry);
            if (!known || random.Next(100) < 48)
            {
                uint id = table.Intern(set);
                Assert.That(id, Is.Not.Zero.And.EqualTo(known ? entry.Id : id));
                Assert.That(known || model.Values.All(other => other.Id != id), $"id {id} was given out twice");
                model[key] = (id, entry.References + 1);
            }
            else
            {
                table.Release(entry.Id);
                if (entry.References == 1)
                {
                    model.Remove(key);
                }
                else
                {
                    model[key] = (entry.Id, entry.References - 1);
                }
            }

            if (step % 500 == 0)
            {
                Check(table, model);
            }
        }

        Check(table, model);
    }

    [Test]
    public void What_is_released_is_given_back_and_can_be_stored_again()
    {
        AttributeTable table = new();
        long peak = 0;
        for (int round = 0; round < 4; round++)
        {
            uint[] ids = [.. Enumerable.Range(0, 20_000).Select(number => table.Intern(Set((round * 20_000) + number, 60)))];
            peak = round == 0 ? table.Bytes : peak;
            Assert.That(table.Bytes, Is.LessThan(peak + (512 << 10)));
            Assert.That(peak / 20_000, Is.LessThan(115), "octets per set of 60");
            Array.ForEach(ids, id => table.Release(id));
            Assert.That(table.Count, Is.Zero);
            Assert.That(table.Bytes, Is.LessThan(peak * 3 / 5));
        }
    }

    [Test]
    public void The_object_of_a_set_is_one_as_long_as_the_set_lives()
    {
        AttributeTable table = new();
        uint id = table.Intern(Set(1, 40));
        PathAttributes first = table.Get(id);
        Assert.That(table.Get(id), Is.SameAs(first));
        Assert.That(first.Canonical.SequenceEqual(table.Canonical(id)));
        Assert.That(table.Describe(id), Is.Not.SameAs(first));
        table.Release(id);
        uint next = table.Intern(Set(5, 40));
        Assert.That(table.Get(next).Canonical.SequenceEqual(Set(5, 40)));
        Assert.That(first.Canonical.SequenceEqual(Set(1, 40)), "an object outlives its set");
    }

    [Test]
    public void Threads_that_intern_and_release_the_same_sets_agree()
    {
        AttributeTable table = new();
        byte[][] pool = [.. Enumerable.Range(0, 16).Select(number => Set(number, 30 + number))];
        Parallel.For(0, 4, worker =>
        {
            Random random = new(worker);
            for (int i = 0; i < 50_000; i++)
            {
                byte[] set = pool[random.Next(pool.Length)];
                uint id = table.Intern(set);
                if (!table.Canonical(id).SequenceEqual(set) || !table.Get(id).Canonical.SequenceEqual(set))
                {
                    throw new InvalidOperationException("a set that is held changed");
                }

                table.Release(id);
            }
        });
        Assert.That(table.Count, Is.Zero);
    }

    private static void Check(AttributeTable table, Dictionary<string, (uint Id, int References)> model)
    {
        Assert.That(table.Count, Is.EqualTo(model.Count));
        foreach ((string key, (uint id, int references)) in model)
        {
            Assert.That(Convert.ToHexString(table.Canonical(id)), Is.EqualTo(key));
            Assert.That(table.ReferencesOf(id), Is.EqualTo(references));
        }
    }

    /// <summary>All sizes of blocks, those around their borders most, and some longer than a slab.</summary>
    private static int Length(Random random) => random.Next(12) switch
    {
        0 => 60_000 + random.Next(12_000),
        1 => 65_536 + random.Next(3),
        < 6 => 16 + random.Next(140),
        _ => Math.Max(16, (1 << random.Next(5, 16)) + random.Next(-9, 10)),
    };

    /// <summary>A distinct set: one unknown optional transitive attribute.</summary>
    private static byte[] Set(int number, int length)
    {
        byte[] set = new byte[length];
        set[0] = (byte)(AttributeFlags.Optional | AttributeFlags.Transitive | AttributeFlags.ExtendedLength);
        set[1] = 200;
        BinaryPrimitives.WriteUInt16BigEndian(set.AsSpan(2), (ushort)Math.Min(length - 4, ushort.MaxValue));
        BinaryPrimitives.WriteInt32BigEndian(set.AsSpan(4), number);
        set[^1] = 0xA5;
        return set;
    }
}
