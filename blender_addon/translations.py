# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's words in other languages. A language is one dictionary here; what it lacks stays English.

Blender translates labels and tooltips by itself. Sentences that are put together go through `tr`, with their values
left out: `tr("Step {step} of {steps}").format(step=3, steps=9)`.
"""

from __future__ import annotations

import bpy

__all__ = ["GERMAN", "register", "tr", "unregister"]

GERMAN: dict[str, str] = {
    "Prompt": "Prompt",
    "Negative Prompt": "Negativer Prompt",
    "Prompt: red bricks": "Prompt: red bricks",
    "Negative prompt": "Negativer Prompt",
    "Generate Texture": "Textur erzeugen",
    "Select a mesh object first": "Wähle zuerst ein Mesh-Objekt aus",
    "Type a prompt first": "Schreibe zuerst einen Prompt",
    "Queue Another": "Noch eine anstellen",
    "Refine Shape": "Form verfeinern",
    "New Object by Prompt": "Neues Objekt nach Prompt",
    "New Object by Image": "Neues Objekt nach Bild",
    "New Object": "Neues Objekt",
    "Choose a picture first": "Wähle zuerst ein Bild",
    "Camera Height": "Kamerahöhe",
    "Geometry": "Geometrie",
    "Move Vertices": "Punkte verschieben",
    "Judged by": "Beurteilt nach",
    "Receiving the Shape": "Form wird empfangen",
    "A new object comes beside this one, which stays as it is.": "Ein neues Objekt kommt daneben; dieses bleibt.",
    "Variations": "Variationen",
    "Cancel": "Abbrechen",
    "Cancel All": "Alle abbrechen",
    "Stop and Keep": "Beenden und behalten",
    "Stopping; What There Is Is Kept": "Wird beendet; was da ist, bleibt",
    "{name}: Cancelled, Coming as a Version": "{name}: abgebrochen, kommt als Version",
    "Discard": "Verwerfen",
    "Apply to Active Object": "Auf aktives Objekt anwenden",
    "Quality": "Qualität",
    "Draft": "Entwurf",
    "Standard": "Standard",
    "Final": "Endfassung",
    "Target": "Ziel",
    "Whole Object": "Ganzes Objekt",
    "Selected Faces": "Ausgewählte Flächen",
    "Material Slot": "Material-Slot",
    "Selected Objects": "Ausgewählte Objekte",
    "New Mask": "Neue Maske",
    "Paint Mask": "Maske malen",
    "Mask": "Maske",
    "Start with What Is Shown": "Beim Gezeigten beginnen",
    "Start, Strength": "Beginnen, Stärke",
    "Strength": "Stärke",
    "Start with Vertex Colors": "Bei Vertex-Farben beginnen",
    "Reference": "Vorbild",
    "A reference is for base color only": "Ein Vorbild gilt nur der Grundfarbe",
    "This model is shown depth only": "Dieses Modell sieht nur die Tiefe",
    "This model is shown nothing": "Dieses Modell sieht nichts vom Mesh",
    "Prompts of Views": "Prompts der Ansichten",
    "Normals": "Normalen",
    "Edges": "Kanten",
    "Texture So Far": "Textur bisher",
    "Mixed Reference": "Vorbild gemischt",
    "Keep Painted": "Bemaltes bleibt",
    "Change Painted": "Bemaltes ändern",
    "Invert": "Umkehren",
    "Clear": "Leeren",
    "Fill": "Füllen",
    "Add Selected Faces": "Ausgewählte Flächen dazu",
    "Done Painting": "Fertig gemalt",
    "Paint on a Copy": "Auf einer Kopie malen",
    "Keep as New Version": "Als neue Version behalten",
    "Restore": "Wiederherstellen",
    "Strokes change “{name}”.": "Striche ändern „{name}“.",
    "“{name}” was painted on.": "„{name}“ wurde bemalt.",
    "New UV Map": "Neue UV-Map",
    "New UV Map by xatlas": "Neue UV-Map mit xatlas",
    "By xatlas": "Mit xatlas",
    "Making UVs": "Macht UVs",
    "Receiving the UVs": "Empfängt die UVs",
    "Texture Anyway": "Trotzdem texturieren",
    "Texel Density": "Texeldichte",
    "The mesh has no UVs": "Das Mesh hat keine UVs",
    "UVs repeat over the surface": "UVs wiederholen sich auf der Fläche",
    "UVs of different parts overlap": "UVs verschiedener Teile überlappen",
    "UVs have no area": "UVs haben keine Fläche",
    "Some faces have no UVs": "Einige Flächen haben keine UVs",
    "UVs of some faces collapsed": "UVs einiger Flächen sind zusammengefallen",
    "Settings": "Einstellungen",
    "Advanced": "Erweitert",
    "Loss": "Verlust",
    "Noise": "Rauschen",
    "Clipping": "Begrenzung",
    "Threshold": "Schwelle",
    "Guidance": "Prompt-Stärke",
    "Depth": "Tiefe",
    "Depth Strength": "Tiefenstärke",
    "Model's Own": "Wie das Modell",
    "Texture Size": "Texturgröße",
    "The server takes at most {parts}": "Der Server nimmt höchstens {parts}",
    "{count} triangles": "{count} Dreiecke",
    "{count} texels": "{count} Texel",
    "{size} of data": "{size} Daten",
    "Maps": "Texturen",
    "Separate Slots": "Slots trennen",
    "Lock Seed": "Seed festhalten",
    "Steps": "Schritte",
    "Cameras": "Kameras",
    "All Around": "Rundum",
    "Scene Cameras": "Kameras der Szene",
    "Current View": "Aktuelle Ansicht",
    "Camera Rig": "Kamera-Rig",
    "Model": "Modell",
    "Recent Prompts": "Letzte Prompts",
    "No prompts yet": "Noch keine Prompts",
    "Words of the Built-In Model": "Wörter des eingebauten Modells",
    "Show in Material Preview": "In der Materialvorschau zeigen",
    "Solid shading does not show textures.": "Die Ansicht „Solide“ zeigt keine Texturen.",
    "Not Connected Yet": "Noch nicht verbunden",
    "Server Starting": "Server startet",
    "Server Ready": "Server bereit",
    "Reconnecting": "Verbindet neu",
    "No Server": "Kein Server",
    "Start Server": "Server starten",
    "Try Again": "Noch einmal",
    "Reconnect": "Neu verbinden",
    "Pair with Server": "Mit Server koppeln",
    "Open Server Log": "Server-Protokoll öffnen",
    "Use a Smaller Texture": "Kleinere Textur nehmen",
    "Use Base Color Only": "Nur Grundfarbe nehmen",
    "Waiting for the Server": "Wartet auf den Server",
    "Sending the Mesh": "Sendet das Mesh",
    "Checking the Mesh": "Prüft das Mesh",
    "Waiting for Its Turn": "Wartet, bis es dran ist",
    "Waiting Behind {count} More": "Wartet hinter {count} anderen",
    "xatlas takes about {time} for {count} triangles. Blender goes on meanwhile.": (
        "xatlas braucht etwa {time} für {count} Dreiecke. In Blender geht es währenddessen weiter."
    ),
    "The server does one job at a time. Cancel, and New UV Map makes UVs in Blender at once.": (
        "Der Server macht einen Auftrag nach dem anderen. Brich ab, und „Neue UV-Map“ macht UVs sofort in Blender."
    ),
    "Step {step} of {steps}": "Schritt {step} von {steps}",
    "Step {step} of {steps}, {left} left": "Schritt {step} von {steps}, noch {left}",
    "Preparing": "Bereitet vor",
    "Cancelling": "Bricht ab",
    "Receiving the Maps": "Empfängt die Texturen",
    "Building the Material": "Baut das Material",
    "Looking for the Job on the Server": "Sucht den Auftrag auf dem Server",
    "Unknown: {words}": "Unbekannt: {words}",
    "The texture server is not running.": "Der Textur-Server läuft nicht.",
    "The server is stopping and takes no more jobs. Start it again.": (
        "Der Server hört gerade auf und nimmt nichts mehr an. Starte ihn neu."
    ),
    "The server cannot store anything now.": "Der Server kann gerade nichts speichern.",
    "The server has too much to do. Try again in a minute.": (
        "Der Server hat zu viel zu tun. Versuche es in einer Minute noch einmal."
    ),
    "The server's worker ended in the middle of the job. Try again.": (
        "Der Arbeitsprozess des Servers endete mitten im Auftrag. Versuche es noch einmal."
    ),
    "The server cannot make UVs: it lacks xatlas, or is of an older version. Use Smart UV Project, or on the "
    "server: pip install xatlas.": (
        "Der Server kann keine UVs machen: ihm fehlt xatlas, oder er ist älter. Nimm „Smart UV Project“, oder auf dem "
        "Server: pip install xatlas."
    ),
    "Cancelled.": "Abgebrochen.",
    "Cancelled. What was made so far is kept as a version.": (
        "Abgebrochen. Was bis dahin entstand, bleibt als Version erhalten."
    ),
    "The texture is finished. Leave Texture Paint to see it.": (
        "Die Textur ist fertig. Verlasse „Texture Paint“, um sie zu sehen."
    ),
    "The texture is finished. Leave Edit Mode to see it.": (
        "Die Textur ist fertig. Verlasse den Bearbeitungsmodus, um sie zu sehen."
    ),
}
_CONTEXTS = ("*", "Operator")
"""Blender looks up labels in the first, names of operators in the second."""


def tr(text: str) -> str:
    """Translates a sentence into the interface's language."""
    return bpy.app.translations.pgettext_iface(text)


def register() -> None:
    """Hands the dictionaries to Blender."""
    german = {(context, text): translated for text, translated in GERMAN.items() for context in _CONTEXTS}
    bpy.app.translations.register(__package__, {"de_DE": german, "de": german})


def unregister() -> None:
    """Takes the dictionaries back."""
    bpy.app.translations.unregister(__package__)
