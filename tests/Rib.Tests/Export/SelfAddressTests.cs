using Bgp.Protocol;

namespace Rib.Tests.Export;

/// <summary>Which address stands for this host in a next hop, by family, session and what the node has.</summary>
[TestFixture]
public sealed class SelfAddressTests
{
    [TestCase("ipv4", "10.0.0.1", "10.9.9.9", "fd09::9", false, "10.0.0.1")]
    [TestCase("ipv4", "fd00::1", "10.9.9.9", "fd09::9", false, "10.9.9.9")]
    [TestCase("ipv4", "fd00::1", "10.9.9.9", "fd09::9", true, "10.9.9.9")]
    [TestCase("ipv4", "fd00::1", "", "fd09::9", true, "fd00::1")]
    [TestCase("ipv4", "fd00::1", "", "fd09::9", false, "-")]
    [TestCase("ipv4", "fe80::1", "10.9.9.9", "fd09::9", true, "fd09::9")]
    [TestCase("ipv4", "fe80::1", "10.9.9.9", "", true, "fe80::1")]
    [TestCase("ipv4", "fe80::1", "10.9.9.9", "", false, "10.9.9.9")]
    [TestCase("ipv6", "fd00::1", "10.9.9.9", "fd09::9", false, "fd00::1")]
    [TestCase("ipv6", "10.0.0.1", "10.9.9.9", "fd09::9", false, "fd09::9")]
    [TestCase("ipv6", "10.0.0.1", "10.9.9.9", "", false, "-")]
    [TestCase("ipv6", "fe80::1", "10.9.9.9", "fd09::9", false, "fd09::9")]
    [TestCase("ipv6", "fe80::1", "10.9.9.9", "", false, "fe80::1")]
    public void Our_address_is(string family, string session, string ipv4, string ipv6, bool extended, string expected)
    {
        IpAddr.TryParse(ipv4, out IpAddr v4);
        IpAddr.TryParse(ipv6, out IpAddr v6);
        AfiSafi afi = family == "ipv4" ? AfiSafi.Ipv4Unicast : AfiSafi.Ipv6Unicast;
        IpAddr self = UpdateGroupKey.ResolveSelf(afi, IpAddr.Parse(session), family == "ipv4" ? v4 : v6, v6, extended);
        Assert.That(self.ToString(), Is.EqualTo(expected));
    }
}
