using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Tables;

/// <summary>Makes attribute sets that did not come over the wire.</summary>
internal static class AttributeEditing
{
    /// <summary>The set with an import rule's changes, interned: the caller owns one reference.</summary>
    internal static uint Apply(AttributeTable table, PathAttributes attributes, PolicyEdit edit, uint localAsn)
    {
        Span<byte> buffer = stackalloc byte[attributes.Canonical.Length + PathAttributesBuilder.Headroom + edit.Room];
        PathAttributesBuilder builder = new(attributes.Canonical, buffer);
        if (edit.LocalPref is { } localPref)
        {
            builder.SetLocalPref(localPref);
        }

        if (edit.Med is { } med)
        {
            builder.SetMed(med);
        }

        foreach (uint community in edit.RemoveCommunities)
        {
            builder.RemoveCommunity(community);
        }

        foreach (uint community in edit.AddCommunities)
        {
            builder.AddCommunity(community);
        }

        foreach ((uint global, uint data1, uint data2) in edit.AddLargeCommunities)
        {
            builder.AddLargeCommunity(global, data1, data2);
        }

        if (edit.Prepend > 0)
        {
            builder.PrependAs(localAsn, edit.Prepend);
        }

        builder.PrependAs(edit.PrependAsns);

        if (!edit.NextHop.IsNone)
        {
            builder.SetNextHop(edit.NextHop);
        }

        if (edit.KernelMetric is not null || edit.Preference is not null)
        {
            builder.SetLocal(new LocalRouteInfo(RouteSource.Bgp, 0, edit.KernelMetric ?? 0, "", default, Preference: edit.Preference ?? 0));
        }

        return table.Intern(builder.Failed ? attributes.Canonical : builder.Build());
    }

    /// <summary>The set with another next hop and nothing beside it, interned: the caller owns one reference.</summary>
    internal static uint WithNextHop(AttributeTable table, PathAttributes attributes, IpAddr nextHop)
    {
        Span<byte> buffer = stackalloc byte[attributes.Canonical.Length + PathAttributesBuilder.Headroom];
        PathAttributesBuilder builder = new(attributes.Canonical, buffer);
        builder.SetNextHop(nextHop);
        return table.Intern(builder.Failed ? attributes.Canonical : builder.Build());
    }

    /// <summary>The set of a route of this host, interned: the caller owns one reference.</summary>
    internal static uint Local(AttributeTable table, in LocalRouteInfo info, IReadOnlyList<uint> communities, IReadOnlyList<LargeCommunity> largeCommunities)
    {
        Span<byte> buffer = stackalloc byte[4096];
        PathAttributesBuilder builder = PathAttributesBuilder.Originate(buffer, Origin.Igp, default);
        builder.SetLocal(info);
        foreach (uint community in communities)
        {
            builder.AddCommunity(community);
        }

        foreach (LargeCommunity community in largeCommunities)
        {
            builder.AddLargeCommunity(community);
        }

        return table.Intern(builder.Build());
    }
}
