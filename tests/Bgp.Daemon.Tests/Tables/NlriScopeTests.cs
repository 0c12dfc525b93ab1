using Bgp.Daemon.Tables;
using Bgp.Protocol;
using NUnit.Framework;

namespace Bgp.Daemon.Tests.Tables;

/// <summary>Destinations that are entered, and those that are not.</summary>
[TestFixture]
public sealed class NlriScopeTests
{
    [TestCase("0.0.0.0/0", true)]
    [TestCase("0.0.0.0/8", true)]
    [TestCase("10.244.0.0/26", true)]
    [TestCase("126.255.255.0/24", true)]
    [TestCase("127.0.0.0/8", false)]
    [TestCase("127.1.2.3/32", false)]
    [TestCase("128.0.0.0/16", true)]
    [TestCase("169.254.0.0/16", true)]
    [TestCase("223.255.255.0/24", true)]
    [TestCase("224.0.0.0/4", false)]
    [TestCase("239.255.255.255/32", false)]
    [TestCase("240.0.0.0/4", true)]
    public void Ipv4(string prefix, bool routable) => Assert.That(NlriScope.IsRoutable(Ipv4Prefix.Parse(prefix)), Is.EqualTo(routable));

    [TestCase("::/0", true)]
    [TestCase("fd10:244::/122", true)]
    [TestCase("::1/128", false)]
    [TestCase("fe80::/10", false)]
    [TestCase("fe80::1/128", false)]
    [TestCase("ff02::/16", false)]
    public void Ipv6(string prefix, bool routable) => Assert.That(NlriScope.IsRoutable(Ipv6Prefix.Parse(prefix)), Is.EqualTo(routable));
}
