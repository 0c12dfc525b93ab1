using System.Globalization;
using Bgp.Fuzz;
using SharpFuzz;

// afl and libfuzzer want the assemblies instrumented by SharpFuzz's tool first; run and replay want nothing.
string usage = $"""
    usage: Bgp.Fuzz run TARGET [--seed N] [--cases N] [--seconds N]   the built-in runner, on all processors
           Bgp.Fuzz replay TARGET FILE                                one input in hexadecimal
           Bgp.Fuzz seeds TARGET FOLDER                               sound inputs as files, for the external fuzzers
           Bgp.Fuzz afl TARGET                                        under afl-fuzz
           Bgp.Fuzz libfuzzer TARGET                                  under libFuzzer's driver
    targets: {string.Join(' ', FuzzTargets.All.Keys)}
    """;
if (args.Length < 2 || !FuzzTargets.All.TryGetValue(args[1], out Func<IFuzzTarget>? make))
{
    Console.Error.WriteLine(usage);
    return 2;
}

string name = args[1];
ulong Option(string option, ulong value) => Array.IndexOf(args, option) is >= 0 and int at && at + 1 < args.Length ? ulong.Parse(args[at + 1], CultureInfo.InvariantCulture) : value;
switch (args[0])
{
    case "run":
        ulong seed = Option("--seed", 1);
        FuzzResult result = FuzzRun.Run(name, seed, (long)Option("--cases", long.MaxValue), TimeSpan.FromSeconds(Option("--seconds", 60)));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name}: seed {seed}, {result.Cases} cases in {result.Elapsed.TotalSeconds:0.0} s{(result.Failure is null ? "" : "\n" + result.Failure)}"));
        return result.Failure is null ? 0 : 1;
    case "replay" when args.Length == 3:
        FuzzRun.Replay(name, args[2]);
        Console.WriteLine("nothing found");
        return 0;
    case "seeds" when args.Length == 3:
        Directory.CreateDirectory(args[2]);
        foreach ((byte[] octets, int index) in make().Seeds.Select(static (octets, index) => (octets, index)))
        {
            File.WriteAllBytes(Path.Combine(args[2], index.ToString(CultureInfo.InvariantCulture)), octets);
        }

        return 0;
    case "afl":
        IFuzzTarget target = make();
        Fuzzer.OutOfProcess.Run(stream =>
        {
            using MemoryStream memory = new();
            stream.CopyTo(memory);
            target.Run(memory.GetBuffer().AsSpan(0, (int)memory.Length));
        });
        return 0;
    case "libfuzzer":
        IFuzzTarget other = make();
        Fuzzer.LibFuzzer.Run(span => other.Run(span));
        return 0;
    default:
        Console.Error.WriteLine(usage);
        return 2;
}
