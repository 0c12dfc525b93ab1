using System.Runtime.CompilerServices;
using Bgp.Protocol;

namespace Rib.Tests;

internal static class HashKey
{
    /// <summary>A run that failed must fail again with the same seed: also where it depends on the order of a hash table.</summary>
    [ModuleInitializer]
    internal static void Fix() => Mix.Fix(1);
}
