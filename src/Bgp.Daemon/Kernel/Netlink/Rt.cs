namespace Bgp.Daemon.Kernel.Netlink;

/// <summary>Numbers of linux/netlink.h and linux/rtnetlink.h, under their own names.</summary>
internal static class Rt
{
    internal const int AfInet = 2;
    internal const int AfInet6 = 10;

    internal const int NlmsgHeader = 16;
    internal const ushort NlmsgNoop = 1;
    internal const ushort NlmsgError = 2;
    internal const ushort NlmsgDone = 3;

    internal const ushort FlagRequest = 0x01;
    internal const ushort FlagMulti = 0x02;
    internal const ushort FlagAck = 0x04;
    internal const ushort FlagDumpInterrupted = 0x10;
    internal const ushort FlagDumpFiltered = 0x20;
    internal const ushort FlagReplace = 0x100;
    internal const ushort FlagExcl = 0x200;
    internal const ushort FlagCreate = 0x400;
    internal const ushort FlagAppend = 0x800;
    internal const ushort FlagDump = 0x300;

    /// <summary>Something new: fails where it is there already.</summary>
    internal const ushort RequestCreate = FlagRequest | FlagCreate | FlagExcl;

    /// <summary>Something else in the place of what is there: fails where nothing is.</summary>
    internal const ushort RequestReplace = FlagRequest | FlagReplace;

    internal const ushort NewLink = 16;
    internal const ushort DelLink = 17;
    internal const ushort GetLink = 18;
    internal const ushort NewAddr = 20;
    internal const ushort DelAddr = 21;
    internal const ushort GetAddr = 22;
    internal const ushort NewRoute = 24;
    internal const ushort DelRoute = 25;
    internal const ushort GetRoute = 26;
    internal const ushort NewNexthop = 104;
    internal const ushort DelNexthop = 105;
    internal const ushort GetNexthop = 106;

    internal const int RtmsgLength = 12;
    internal const int IfinfoLength = 16;
    internal const int IfaddrLength = 8;

    internal const int RtaDst = 1;
    internal const int RtaSrc = 2;
    internal const int RtaIif = 3;
    internal const int RtaOif = 4;
    internal const int RtaGateway = 5;
    internal const int RtaPriority = 6;
    internal const int RtaPrefSrc = 7;
    internal const int RtaMultipath = 9;
    internal const int RtaTable = 15;
    internal const int RtaVia = 18;
    internal const int RtaNhId = 30;

    internal const int NhmsgLength = 8;
    internal const int NhaId = 1;
    internal const int NhaGroup = 2;
    internal const int NhaGroupType = 3;
    internal const int NhaBlackhole = 4;
    internal const int NhaOif = 5;
    internal const int NhaGateway = 6;
    internal const int NhaEncapType = 7;
    internal const int NhaEncap = 8;
    internal const int NhaFdb = 11;
    internal const int NhaResilientGroup = 12;

    internal const byte ScopeUniverse = 0;
    internal const byte ScopeLink = 253;
    internal const byte ScopeNowhere = 255;

    internal const uint RouteCloned = 0x200;
    internal const byte HopOnLink = 4;

    internal const int IflaIfname = 3;
    internal const uint IffUp = 1;
    internal const uint IffLowerUp = 0x10000;
    internal const int IfaAddress = 1;
    internal const int IfaLocal = 2;

    internal const int RtGroupLink = 1;
    internal const int RtGroupIpv4Ifaddr = 5;
    internal const int RtGroupIpv4Route = 7;
    internal const int RtGroupIpv6Ifaddr = 9;
    internal const int RtGroupIpv6Route = 11;
    internal const int RtGroupNexthop = 32;
    internal const int AttributeTypeMask = 0x3FFF;

    internal static byte Family(bool v4) => v4 ? (byte)AfInet : (byte)AfInet6;

    /// <summary>A next hop's weight as rtnh_hops and nexthop_grp have it: 1 to 256 as 0 to 255.</summary>
    internal static byte WeightOctet(int weight) => (byte)(Math.Clamp(weight, 1, 256) - 1);

    internal static int Align(int length) => (length + 3) & ~3;
}

/// <summary>The errno values that decide something here.</summary>
internal static class Errno
{
    internal const int Noent = 2;
    internal const int Srch = 3;
    internal const int Intr = 4;
    internal const int Again = 11;
    internal const int Exist = 17;
    internal const int Nodev = 19;
    internal const int Inval = 22;
    internal const int Netdown = 100;
    internal const int Netunreach = 101;
    internal const int Nobufs = 105;
    internal const int Hostunreach = 113;
    internal const int Opnotsupp = 95;

    internal static string Name(int error) => error switch
    {
        0 => "",
        1 => "EPERM",
        Noent => "ENOENT",
        Srch => "ESRCH",
        12 => "ENOMEM",
        Exist => "EEXIST",
        Nodev => "ENODEV",
        Inval => "EINVAL",
        Opnotsupp => "EOPNOTSUPP",
        Netdown => "ENETDOWN",
        Netunreach => "ENETUNREACH",
        Nobufs => "ENOBUFS",
        Hostunreach => "EHOSTUNREACH",
        _ => $"errno {error}",
    };
}
