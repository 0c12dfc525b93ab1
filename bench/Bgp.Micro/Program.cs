using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Bgp.Micro;

// In this process: the generated projects of the default toolchain would have to be restored, and every build property here repeated for them.
Job job = Job.Default.WithToolchain(InProcessEmitToolchain.Instance).WithWarmupCount(3).WithIterationCount(10);
BenchmarkSwitcher.FromTypes([typeof(Stages)]).Run(args, DefaultConfig.Instance.AddJob(job).WithArtifactsPath(Path.Combine(Path.GetTempPath(), "bgp-micro")).WithOptions(ConfigOptions.DisableOptimizationsValidator));
