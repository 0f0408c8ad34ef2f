"""What blocks a publication and what proves one."""
