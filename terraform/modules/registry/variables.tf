variable "name" {
  description = "Prefix of the repositories' names."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "name: 3 to 32 lower-case letters, digits and dashes, beginning with a letter."
  }
}

variable "repositories" {
  description = "One for each image."
  type        = set(string)
  default     = ["controller", "model-server"]

  validation {
    condition     = length(var.repositories) > 0 && alltrue([for each in var.repositories : can(regex("^[a-z0-9]+([._-][a-z0-9]+)*$", each))])
    error_message = "repositories: at least one; lower-case letters and digits, with single dots, dashes or underscores between."
  }
}

variable "kept_images" {
  description = "Images that each repository keeps."
  type        = number
  default     = 50

  validation {
    condition     = var.kept_images >= 5
    error_message = "kept_images: at least 5, or a rollback may find nothing to go back to."
  }
}

variable "untagged_days" {
  description = "Days after which an image without a tag goes."
  type        = number
  default     = 7
}

variable "artifacts_key_arn" {
  description = "Key that encrypts the images."
  type        = string
}

variable "protected" {
  description = "Whether repositories with images in them can't be destroyed."
  type        = bool
  default     = true
}
