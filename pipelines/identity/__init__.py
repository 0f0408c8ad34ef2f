"""Who is who: the vault, salts and pseudonyms. The only room that knows how a member becomes a pseudonym."""
