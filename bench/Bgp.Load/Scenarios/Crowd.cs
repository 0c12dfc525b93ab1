namespace Bgp.Load.Scenarios;

/// <summary>Many receivers that must all come to hold what is expected of them.</summary>
internal sealed class Crowd
{
    private readonly Speaker[] _members;
    private int _reached;

    /// <param name="own">How many prefixes each announces itself; the first those from number 0 on.</param>
    internal Crowd(Speaker[] members, PrefixSpace space, int own = 0)
    {
        _members = members;
        for (int i = 0; i < members.Length; i++)
        {
            members[i].Tally = new Tally(space) { Own = (i * own, own) };
        }
    }

    internal void SetTargets(Func<int, int> target)
    {
        _reached = 0;
        for (int i = 0; i < _members.Length; i++)
        {
            _members[i].Tally!.Target = target(i);
        }
    }

    /// <summary>Asked after every turn of the loop, so it looks on from the first that was not there yet, and at all only when none is left.</summary>
    internal bool AllAtTarget()
    {
        while (_reached < _members.Length && _members[_reached].Tally!.AtTarget)
        {
            _reached++;
        }

        if (_reached < _members.Length)
        {
            return false;
        }

        _reached = Array.FindIndex(_members, static member => !member.Tally!.AtTarget);
        if (_reached < 0)
        {
            _reached = _members.Length;
            return true;
        }

        return false;
    }

    internal (long Have, long Want) Progress() =>
        (_members.Sum(static member => (long)Math.Min(member.Tally!.Count, member.Tally.Target)), _members.Sum(static member => (long)member.Tally!.Target));

    /// <summary>Progress of a withdrawal of <paramref name="each"/> prefixes per member.</summary>
    internal (long Have, long Want) Left(int each) =>
        (_members.Sum(member => Math.Max(0L, each - member.Tally!.Count)), (long)_members.Length * each);

    /// <summary>What is wrong with the first member that holds another set than it should, or null.</summary>
    internal string? Verify(ulong[] expected)
    {
        for (int i = 0; i < _members.Length; i++)
        {
            Tally tally = _members[i].Tally!;
            int differences = tally.Differences(expected);
            if (differences != 0 || tally.Unexpected != 0)
            {
                return $"{Ip.Text(_members[i].Address)} holds the wrong set: {differences} prefixes differ, {tally.Unexpected} outside";
            }
        }

        return null;
    }
}
