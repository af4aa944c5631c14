// SPDX-License-Identifier: MIT
// What the virtual PC's ACPI tables say about its devices. Kept small: a guest interprets it at every boot.
DefinitionBlock ("", "DSDT", 2, "MEZZ", "MEZZPC", 1)
{
    // S5 is the only sleep state: VPM_SLP_TYP_S5.
    Name (\_S5, Package (4) { 5, 5, 0, 0 })

    Scope (\_SB)
    {
        // A conventional PCI root: there is nothing of PCI Express to hand over to the guest.
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_BBN, 0)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0, 0, 1)
                IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
                // VPCI_IO_BASE .. VPCI_IO_END
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, 0xC000, 0xFFFF, 0, 0x4000)
                // GPA_PCI_WINDOW .. GPA_PCI_END
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0xC0000000, 0xDFFFFFFF, 0, 0x20000000)
            })

            // INTA of slot s is GSI 16 + s % 4 (vpci.h).
            Name (_PRT, Package ()
            {
                Package (4) { 0x0001FFFF, 0, 0, 17 }, Package (4) { 0x0002FFFF, 0, 0, 18 },
                Package (4) { 0x0003FFFF, 0, 0, 19 }, Package (4) { 0x0004FFFF, 0, 0, 16 },
                Package (4) { 0x0005FFFF, 0, 0, 17 }, Package (4) { 0x0006FFFF, 0, 0, 18 },
                Package (4) { 0x0007FFFF, 0, 0, 19 }, Package (4) { 0x0008FFFF, 0, 0, 16 },
                Package (4) { 0x0009FFFF, 0, 0, 17 }, Package (4) { 0x000AFFFF, 0, 0, 18 },
                Package (4) { 0x000BFFFF, 0, 0, 19 }, Package (4) { 0x000CFFFF, 0, 0, 16 },
                Package (4) { 0x000DFFFF, 0, 0, 17 }, Package (4) { 0x000EFFFF, 0, 0, 18 },
                Package (4) { 0x000FFFFF, 0, 0, 19 }, Package (4) { 0x0010FFFF, 0, 0, 16 },
                Package (4) { 0x0011FFFF, 0, 0, 17 }, Package (4) { 0x0012FFFF, 0, 0, 18 },
                Package (4) { 0x0013FFFF, 0, 0, 19 }, Package (4) { 0x0014FFFF, 0, 0, 16 },
                Package (4) { 0x0015FFFF, 0, 0, 17 }, Package (4) { 0x0016FFFF, 0, 0, 18 },
                Package (4) { 0x0017FFFF, 0, 0, 19 }, Package (4) { 0x0018FFFF, 0, 0, 16 },
                Package (4) { 0x0019FFFF, 0, 0, 17 }, Package (4) { 0x001AFFFF, 0, 0, 18 },
                Package (4) { 0x001BFFFF, 0, 0, 19 }, Package (4) { 0x001CFFFF, 0, 0, 16 },
                Package (4) { 0x001DFFFF, 0, 0, 17 }, Package (4) { 0x001EFFFF, 0, 0, 18 },
                Package (4) { 0x001FFFFF, 0, 0, 19 }
            })
        }

        // The ECAM window of the MCFG table, so that nothing else is put there.
        Device (ECAM)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, 1)
            Name (_CRS, ResourceTemplate () { Memory32Fixed (ReadWrite, 0xE0000000, 0x00100000) })
        }

        Device (RTC)
        {
            Name (_HID, EisaId ("PNP0B00"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0070, 0x0070, 1, 2)
                IRQNoFlags () { 8 }
            })
        }

        Device (COM1)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 1)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x03F8, 0x03F8, 1, 8)
                IRQNoFlags () { 4 }
            })
        }

        Device (COM2)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 2)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x02F8, 0x02F8, 1, 8)
                IRQNoFlags () { 3 }
            })
        }
    }
}
