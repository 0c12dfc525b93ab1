namespace Bgp.Daemon.Config;

/// <summary>Notices that files of the configuration changed, whichever way: written in place, renamed over, or swapped with the directory they live in.</summary>
/// <remarks>
/// Directories are watched, not files: an editor and <c>mv</c> put a new file in the place of the old one, and Kubernetes swaps a symbolic link
/// (<c>..data</c>) beside the links to the files. So every event in a directory that matters only says "look": what counts is a signature of the files behind all links,
/// their path, length and time. It is looked at after a moment of quiet, so that a file that is being written is not read half, and every half minute
/// anyway, for file systems that report nothing and directories that were replaced as a whole.
/// </remarks>
internal sealed class ConfigWatch : IDisposable
{
    private static readonly TimeSpan s_quiet = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan s_anyway = TimeSpan.FromSeconds(30);

    private readonly Lock _gate = new();
    private readonly Action _changed;
    private readonly ITimer _timer;
    private readonly Dictionary<string, FileSystemWatcher> _watchers = new(StringComparer.Ordinal);
    private IReadOnlyList<string> _patterns = [];
    private string _signature = "";
    private bool _disposed;

    internal ConfigWatch(TimeProvider time, Action changed)
    {
        _changed = changed;
        _timer = time.CreateTimer(_ => Look(), null, s_anyway, Timeout.InfiniteTimeSpan);
    }

    /// <summary>The files that a model was read from or refers to, and the patterns of its includes.</summary>
    internal static IReadOnlyList<string> FilesOf(ConfigModel model, string path)
    {
        string directory = Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/";
        IEnumerable<string> secrets = model.Peers.Concat(model.DynamicPeers.Select(static range => range.Template))
            .Select(static peer => peer.Md5?.Reference ?? "").Where(static reference => reference.StartsWith("file:", StringComparison.Ordinal)).Select(static reference => reference[5..]);
        return [.. model.Files.Concat(model.Include).Concat(secrets).Prepend(path).Select(file => Path.Combine(directory, file)).Distinct(StringComparer.Ordinal)];
    }

    /// <summary>Watches these from now on, as they are now.</summary>
    internal void Follow(IReadOnlyList<string> patterns)
    {
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            if (!_patterns.SequenceEqual(patterns))
            {
                _patterns = patterns;
                HashSet<string> folders = [.. patterns.Select(static pattern => Path.GetDirectoryName(pattern) ?? "/").Where(Directory.Exists)];
                foreach (string gone in _watchers.Keys.Where(folder => !folders.Contains(folder)).ToArray())
                {
                    _watchers.Remove(gone, out FileSystemWatcher? watcher);
                    watcher?.Dispose();
                }

                foreach (string folder in folders.Where(folder => !_watchers.ContainsKey(folder)))
                {
                    _watchers[folder] = Watch(folder);
                }
            }

            _signature = Signature(_patterns);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            _timer.Dispose();
            foreach (FileSystemWatcher watcher in _watchers.Values)
            {
                watcher.Dispose();
            }

            _watchers.Clear();
        }
    }

    /// <summary>Every file that a pattern stands for, behind its links, with length and time.</summary>
    internal static string Signature(IReadOnlyList<string> patterns)
    {
        List<string> lines = [];
        foreach (string pattern in patterns)
        {
            try
            {
                string folder = Path.GetDirectoryName(pattern) ?? "/";
                string name = Path.GetFileName(pattern);
                string[] files = !name.Contains('*', StringComparison.Ordinal) && !name.Contains('?', StringComparison.Ordinal) ? [pattern]
                    : Directory.Exists(folder) ? [.. Directory.GetFiles(folder, name).Order(StringComparer.Ordinal)]
                    : [];
                foreach (string file in files)
                {
                    FileInfo info = new(file);
                    FileInfo real = info.ResolveLinkTarget(returnFinalTarget: true) as FileInfo ?? info;
                    lines.Add(real.Exists ? $"{file} {real.FullName} {real.Length} {real.LastWriteTimeUtc.Ticks}" : $"{file} -");
                }
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                lines.Add($"{pattern} {exception.GetType().Name}");
            }
        }

        return string.Join('\n', lines);
    }

    private FileSystemWatcher Watch(string folder)
    {
        FileSystemWatcher watcher = new(folder) { NotifyFilter = NotifyFilters.FileName | NotifyFilters.DirectoryName | NotifyFilters.LastWrite | NotifyFilters.Size };
        watcher.Changed += (_, _) => Soon();
        watcher.Created += (_, _) => Soon();
        watcher.Deleted += (_, _) => Soon();
        watcher.Renamed += (_, _) => Soon();

        // Events were lost, or the directory is gone.
        watcher.Error += (_, _) => Soon();
        watcher.EnableRaisingEvents = true;
        return watcher;
    }

    private void Soon()
    {
        lock (_gate)
        {
            if (!_disposed)
            {
                _timer.Change(s_quiet, Timeout.InfiniteTimeSpan);
            }
        }
    }

    private void Look()
    {
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            _timer.Change(s_anyway, Timeout.InfiniteTimeSpan);
            string signature = Signature(_patterns);
            if (signature == _signature)
            {
                return;
            }

            // Also of one that is refused: it is said once, not every half minute.
            _signature = signature;
        }

        _changed();
    }
}
